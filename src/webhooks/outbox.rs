//! The outbox: how far the log was read for messages, and which of them are still to be delivered. Plain data; time is an argument.
//!
//! On disk it is a text: a line with the position and the hash of the frame that ends there, a line for each message with its place
//! in the log, its workspace, its agent, its failed attempts and when it is due, and the first 8 bytes of the BLAKE3 of all that in hexadecimal.
//! One that is damaged, or of another log, is begun anew from the start of the log: then every message there ever was is sent once
//! more, with the same id, which is better than to lose one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Bound;

use allowlog_proto::chain::Hash;
use allowlog_proto::id::{ConsentAgentId, WorkspaceId};
use allowlog_proto::time::Timestamp;
use data_encoding::HEXLOWER;

/// How long after each failed attempt the next one is made; after one more, the message is given up.
pub const LADDER_MS: [u64; 5] = [60_000, 5 * 60_000, 30 * 60_000, 2 * 3_600_000, 12 * 3_600_000];

/// Messages on their way to one agent.
const UNDER_WAY_AGENT_MAX: usize = 4;
/// Messages on their way to all agents of one workspace: a quarter, so that receivers that never answer leave room for others.
const UNDER_WAY_WORKSPACE_MAX: usize = 16;
/// Messages on their way in all.
const UNDER_WAY_MAX: usize = 64;

const _: () = assert!(UNDER_WAY_AGENT_MAX < UNDER_WAY_WORKSPACE_MAX && UNDER_WAY_WORKSPACE_MAX < UNDER_WAY_MAX);

const TITLE: &str = "allowlog webhooks v2";

/// What is still to be delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbox {
    position: u64,
    hash: Hash,
    /// By place in the log: a record is one message at most. INVARIANT: each is in one of the three below.
    pending: BTreeMap<u64, Pending>,
    waiting: BTreeSet<(Timestamp, u64)>,
    due: BTreeMap<WorkspaceId, Queue>,
    under_way: BTreeMap<u64, Delivery>,
    /// Which had the last turn.
    turn: Option<WorkspaceId>,
}

/// What is due in a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Queue {
    /// By failed attempts and place in the log. INVARIANT: none is empty.
    agents: BTreeMap<ConsentAgentId, BTreeSet<(usize, u64)>>,
    /// Which had the last turn.
    turn: Option<ConsentAgentId>,
}

/// A message that was neither delivered nor given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    workspace_id: WorkspaceId,
    agent_id: ConsentAgentId,
    /// Those that failed.
    attempts: usize,
    next_at: Timestamp,
}

/// A message that is to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Its record's place in the log.
    pub sequence: u64,
    /// Whose agent it is.
    pub workspace_id: WorkspaceId,
    /// To whom.
    pub agent_id: ConsentAgentId,
}

impl Outbox {
    /// Log sequence behind the last record whose message is in here, was delivered or given up.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Hash of the frame that ends there.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// How many messages are neither delivered nor given up.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether all that was to be delivered is.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many messages are on their way.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Goes on behind a frame with this hash, whose messages these are; they are due at once.
    pub fn pass(&mut self, position: u64, hash: Hash, messages: &[Delivery]) {
        (self.position, self.hash) = (position, hash);
        for &Delivery { sequence, workspace_id, agent_id } in messages {
            self.enter(sequence, Pending { workspace_id, agent_id, attempts: 0, next_at: Timestamp::default() });
        }
    }

    fn enter(&mut self, sequence: u64, pending: Pending) {
        self.pending.insert(sequence, pending);
        self.waiting.insert((pending.next_at, sequence));
    }

    /// Takes messages that are due, as many as may be under way: workspaces take turns, in each of them its agents do, and of one
    /// agent those come first that failed least often.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<Delivery> {
        while let Some(&(at, sequence)) = self.waiting.first().filter(|(at, _)| *at <= now) {
            self.waiting.remove(&(at, sequence));
            if let Some(Pending { workspace_id, agent_id, attempts, .. }) = self.pending.get(&sequence) {
                let queue = self.due.entry(*workspace_id).or_default();
                queue.agents.entry(*agent_id).or_default().insert((*attempts, sequence));
            }
        }
        let mut counts = Counts::default();
        for delivery in self.under_way.values() {
            counts.add(delivery);
        }
        let mut taken = Vec::new();
        while self.under_way.len() < UNDER_WAY_MAX {
            let Some((workspace_id, agent_id)) = self.next_turn(&counts) else { break };
            let Some(sequence) = self.take_turn(workspace_id, agent_id) else { break };
            let delivery = Delivery { sequence, workspace_id, agent_id };
            self.under_way.insert(sequence, delivery);
            counts.add(&delivery);
            taken.push(delivery);
        }
        taken
    }

    /// Whose turn it is, among those that may have one more under way.
    fn next_turn(&self, counts: &Counts) -> Option<(WorkspaceId, ConsentAgentId)> {
        let mut workspaces = turns(&self.due, self.turn).filter(|(workspace_id, _)| counts.have_room_for_workspace(**workspace_id));
        workspaces.find_map(|(workspace_id, queue)| {
            let mut agents = turns(&queue.agents, queue.turn).map(|(agent_id, _)| *agent_id);
            Some((*workspace_id, agents.find(|agent_id| counts.have_room_for_agent(*agent_id))?))
        })
    }

    /// The next message of an agent, whose turn it is.
    fn take_turn(&mut self, workspace_id: WorkspaceId, agent_id: ConsentAgentId) -> Option<u64> {
        self.turn = Some(workspace_id);
        let queue = self.due.get_mut(&workspace_id)?;
        queue.turn = Some(agent_id);
        let messages = queue.agents.get_mut(&agent_id)?;
        let (_, sequence) = messages.pop_first()?;
        if messages.is_empty() {
            queue.agents.remove(&agent_id);
        }
        if queue.agents.is_empty() {
            self.due.remove(&workspace_id);
        }
        Some(sequence)
    }

    /// One that was under way arrived.
    pub fn delivered(&mut self, sequence: u64) {
        self.under_way.remove(&sequence);
        self.pending.remove(&sequence);
    }

    /// One that was under way did not arrive: says when it is tried again, or nothing if it is given up.
    pub fn failed(&mut self, sequence: u64, now: Timestamp) -> Option<Timestamp> {
        self.under_way.remove(&sequence);
        // It may have been dropped meanwhile, which is as if it had been given up.
        let pending = self.pending.remove(&sequence)?;
        let next_at = now.saturating_add_ms(*LADDER_MS.get(pending.attempts)?);
        self.enter(sequence, Pending { attempts: pending.attempts.saturating_add(1), next_at, ..pending });
        Some(next_at)
    }

    /// One that was under way could not be sent for a reason of ours, which is no attempt.
    pub fn postponed(&mut self, sequence: u64, next_at: Timestamp) {
        self.under_way.remove(&sequence);
        if let Some(pending) = self.pending.remove(&sequence) {
            self.enter(sequence, Pending { next_at, ..pending });
        }
    }

    /// Nothing is sent to this agent any more; says how many messages that concerns. What is under way is on its way.
    pub fn dismiss(&mut self, workspace_id: WorkspaceId, agent_id: ConsentAgentId) -> usize {
        let before = self.pending.len();
        self.pending.retain(|_, pending| pending.agent_id != agent_id);
        self.waiting.retain(|(_, sequence)| self.pending.contains_key(sequence));
        if let Some(queue) = self.due.get_mut(&workspace_id) {
            queue.agents.remove(&agent_id);
            if queue.agents.is_empty() {
                self.due.remove(&workspace_id);
            }
        }
        before.saturating_sub(self.pending.len())
    }

    /// The text of it.
    pub fn write(&self) -> String {
        let mut text = format!("{TITLE}\n{} {}\n", self.position, HEXLOWER.encode(&self.hash.0));
        for (sequence, Pending { workspace_id, agent_id, attempts, next_at }) in &self.pending {
            // A text in memory takes whatever is written to it.
            let _ = writeln!(text, "{sequence} {workspace_id} {agent_id} {attempts} {}", next_at.as_ms());
        }
        let check = check(&text);
        text.push_str(&check);
        text.push('\n');
        text
    }

    /// What was written; nothing if it is damaged. What was under way is to be sent again.
    pub fn read(text: &str) -> Option<Self> {
        let (lines, found) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        let lines = text.get(..lines.len().checked_add(1)?)?;
        (found == check(lines)).then_some(())?;
        let mut lines = lines.lines();
        (lines.next()? == TITLE).then_some(())?;
        let (position, hash) = lines.next()?.split_once(' ')?;
        let hash = Hash(HEXLOWER.decode(hash.as_bytes()).ok()?.try_into().ok()?);
        let mut this = Self { position: position.parse().ok()?, hash, ..Self::default() };
        for line in lines {
            let mut words = line.split(' ');
            let sequence = words.next()?.parse().ok()?;
            let workspace_id = WorkspaceId::parse(words.next()?)?;
            let agent_id = ConsentAgentId::parse(words.next()?)?;
            let attempts = words.next()?.parse().ok()?;
            let next_at = Timestamp::from_ms(words.next()?.parse().ok()?)?;
            this.enter(sequence, Pending { workspace_id, agent_id, attempts, next_at });
        }
        Some(this)
    }
}

/// How many messages are on their way to whom.
#[derive(Default)]
struct Counts {
    workspaces: BTreeMap<WorkspaceId, usize>,
    agents: BTreeMap<ConsentAgentId, usize>,
}

impl Counts {
    fn add(&mut self, delivery: &Delivery) {
        *self.workspaces.entry(delivery.workspace_id).or_default() += 1;
        *self.agents.entry(delivery.agent_id).or_default() += 1;
    }

    fn have_room_for_workspace(&self, workspace_id: WorkspaceId) -> bool {
        self.workspaces.get(&workspace_id).is_none_or(|count| *count < UNDER_WAY_WORKSPACE_MAX)
    }

    fn have_room_for_agent(&self, agent_id: ConsentAgentId) -> bool {
        self.agents.get(&agent_id).is_none_or(|count| *count < UNDER_WAY_AGENT_MAX)
    }
}

/// All of them, from the one on that comes after the last that had a turn.
fn turns<K: Ord + Copy, V>(all: &BTreeMap<K, V>, last: Option<K>) -> impl Iterator<Item = (&K, &V)> {
    let after = last.map_or(Bound::Unbounded, Bound::Excluded);
    let before = last.map(|last| all.range(..=last));
    all.range((after, Bound::Unbounded)).chain(before.into_iter().flatten())
}

fn check(text: &str) -> String {
    HEXLOWER.encode(blake3::hash(text.as_bytes()).as_bytes().first_chunk::<8>().map_or(&[], |start| start.as_slice()))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn agent(tag: u8) -> ConsentAgentId {
        ConsentAgentId::from_bytes([tag; 16])
    }

    fn workspace(tag: u8) -> WorkspaceId {
        WorkspaceId::from_bytes([tag; 16])
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_ms(1_772_359_200_000 + ms).unwrap()
    }

    /// An outbox with messages in this order to these agents, each of a workspace of its own, at sequences from 0 on.
    fn outbox(agents: impl IntoIterator<Item = u8>) -> Outbox {
        with(agents.into_iter().map(|tag| (workspace(tag), agent(tag))))
    }

    /// The same to agents of these workspaces.
    fn with(agents: impl IntoIterator<Item = (WorkspaceId, ConsentAgentId)>) -> Outbox {
        let message = |(sequence, (workspace_id, agent_id))| Delivery { sequence, workspace_id, agent_id };
        let messages: Vec<_> = (0..).zip(agents).map(message).collect();
        let mut outbox = Outbox::default();
        outbox.pass(messages.len() as u64, Hash([7; 32]), &messages);
        outbox
    }

    fn taken(outbox: &mut Outbox, now: Timestamp) -> Vec<u64> {
        outbox.take_due(now).into_iter().map(|delivery| delivery.sequence).collect()
    }

    #[test]
    fn the_ladder_and_its_end() {
        let mut outbox = outbox([1]);
        let mut now = at(0);
        for wait in LADDER_MS {
            assert_eq!(taken(&mut outbox, now), [0]);
            assert!(taken(&mut outbox, now).is_empty(), "it is under way");
            now = now.saturating_add_ms(9_000);
            let next = now.saturating_add_ms(wait);
            assert_eq!(outbox.failed(0, now), Some(next));
            assert!(taken(&mut outbox, next.saturating_add_ms(0).as_ms().checked_sub(1).and_then(Timestamp::from_ms).unwrap()).is_empty());
            now = next;
        }
        assert_eq!(taken(&mut outbox, now), [0]);
        assert_eq!(outbox.failed(0, now), None);
        assert!(outbox.is_empty() && outbox.take_due(Timestamp::MAX).is_empty());
        assert_eq!(LADDER_MS.iter().sum::<u64>(), (1 + 5 + 30 + 120 + 720) * 60_000);
    }

    #[test]
    fn agents_take_turns_and_none_holds_up_another() {
        // One agent has a hundred messages in front of everybody else's.
        let mut outbox = outbox(std::iter::repeat_n(1, 100).chain(2..40));
        let first = taken(&mut outbox, at(0));
        assert_eq!(first.iter().filter(|sequence| **sequence < 100).count(), 4, "at most four to one agent");
        assert_eq!(first.len(), 4 + 38, "and everybody else has a turn");
        assert!(taken(&mut outbox, at(0)).is_empty());
        outbox.delivered(0);
        assert_eq!(taken(&mut outbox, at(0)), [4]);
        // New ones come before those that have failed.
        assert_eq!(outbox.failed(1, at(0)), Some(at(60_000)));
        assert_eq!(taken(&mut outbox, at(60_000)), [5]);
        // At most 64 in all; who had no turn has one when there is room.
        let mut outbox = self::outbox((0..40).flat_map(|tag| [tag; 4]));
        let first = taken(&mut outbox, at(0));
        assert_eq!(first.len(), 64);
        let mut turns = BTreeMap::<_, usize>::new();
        for sequence in &first {
            *turns.entry(sequence / 4).or_default() += 1;
        }
        assert!(turns.len() == 40 && turns.values().all(|count| (1..=2).contains(count)), "{turns:?}");
        let mut arrived = BTreeSet::new();
        let mut flying = first;
        while let Some(sequence) = flying.pop() {
            outbox.delivered(sequence);
            assert!(arrived.insert(sequence), "{sequence} twice");
            flying.extend(taken(&mut outbox, at(0)));
            assert!(flying.len() <= 64);
        }
        assert_eq!(arrived.len(), 160);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_workspace_does_not_hold_up_another() {
        // A thousand agents of one workspace, none of which ever answers, are in front of the only message of another.
        let numbered = |n: u16| ConsentAgentId::from_bytes([n.to_be_bytes(); 8].concat().try_into().unwrap());
        let mut outbox = with((0..1000).map(|n| (workspace(1), numbered(n))));
        assert_eq!(taken(&mut outbox, at(0)).len(), 16);
        assert!(taken(&mut outbox, at(0)).is_empty(), "at most sixteen to one workspace");
        let other = Delivery { sequence: 1000, workspace_id: workspace(2), agent_id: agent(200) };
        outbox.pass(1001, Hash([8; 32]), &[other]);
        assert_eq!(outbox.take_due(at(0)), [other]);
        // In the workspace itself agents still take turns, and the first of them comes again after the last.
        let mut arrived: Vec<_> = (0..16).collect();
        for sequence in 0..1000 {
            outbox.delivered(sequence);
            arrived.extend(taken(&mut outbox, at(0)));
        }
        assert!(arrived.iter().copied().eq(0..1000), "{arrived:?}");
    }

    #[test]
    fn workspaces_take_turns_however_many_agents_they_have() {
        // Ten workspaces: the first has a hundred agents with a message each, the others an agent with ten messages.
        let busy = (1..=100).map(|tag| (workspace(1), agent(tag)));
        let mut outbox = with(busy.chain((101..=109).flat_map(|tag| [(workspace(tag), agent(tag)); 10])));
        let first = taken(&mut outbox, at(0));
        assert_eq!(first.len(), 16 + 9 * 4);
        let busy = first.iter().map(|sequence| *sequence < 100);
        assert_eq!(busy.take(40).filter(|is_busy| *is_busy).count(), 4, "a turn each, four times");
        // Room for one at a time goes round, beginning behind the last that had a turn.
        let mut outbox = with((0..200).map(|n| (workspace(n % 20), agent(n))));
        let mut flying = VecDeque::from(taken(&mut outbox, at(0)));
        assert_eq!(flying.len(), 64);
        let mut turns: Vec<_> = flying.iter().map(|sequence| sequence % 20).collect();
        while let Some(sequence) = flying.pop_front() {
            outbox.delivered(sequence);
            for sequence in taken(&mut outbox, at(0)) {
                turns.push(sequence % 20);
                flying.push_back(sequence);
            }
        }
        assert!(turns.iter().copied().eq((0..10).flat_map(|_| 0..20)), "{turns:?}");
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_has_nowhere_to_go_is_dismissed() {
        let mut outbox = outbox([1, 2, 1, 1, 1, 1, 2]);
        assert_eq!(taken(&mut outbox, at(0)).len(), 6);
        assert_eq!(outbox.failed(0, at(0)), Some(at(60_000)));
        assert_eq!(outbox.dismiss(workspace(1), agent(1)), 5);
        assert_eq!(outbox.failed(2, at(0)), None, "one that was under way is not tried again");
        outbox.postponed(3, at(0));
        outbox.delivered(4);
        for sequence in [1, 6] {
            outbox.delivered(sequence);
        }
        assert!(taken(&mut outbox, Timestamp::MAX).is_empty());
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_postponed_message_has_not_failed() {
        let mut outbox = outbox([1]);
        for n in 1..20 {
            assert_eq!(taken(&mut outbox, at(n)), [0]);
            outbox.postponed(0, at(n + 1));
            assert!(taken(&mut outbox, at(n)).is_empty());
        }
        assert_eq!(taken(&mut outbox, at(20)), [0]);
        assert_eq!(outbox.failed(0, at(20)), Some(at(60_020)));
    }

    #[test]
    fn it_reads_what_it_wrote_and_nothing_else() {
        let mut outbox = outbox([1, 2, 1, 3]);
        taken(&mut outbox, at(0));
        outbox.failed(0, at(0));
        outbox.delivered(1);
        let text = outbox.write();
        let mut again = Outbox::read(&text).unwrap();
        assert_eq!((again.position(), again.hash(), again.write()), (4, Hash([7; 32]), text.clone()));
        assert_eq!(taken(&mut again, at(0)), [2, 3], "what was under way is sent again");
        assert_eq!(taken(&mut again, at(60_000)), [0]);
        assert_eq!(Outbox::read(&Outbox::default().write()), Some(Outbox::default()));
        for length in 0..text.len() {
            assert_eq!(Outbox::read(&text[..length]), None, "{length} bytes");
        }
        for place in 0..text.len() {
            for bit in [1, 0x20] {
                let mut damaged = text.clone().into_bytes();
                damaged[place] ^= bit;
                let read = String::from_utf8(damaged).ok().and_then(|text| Outbox::read(&text));
                assert_eq!(read, None, "byte {place}");
            }
        }
        assert_eq!(Outbox::read(&format!("{text}\n")), None);
    }
}
