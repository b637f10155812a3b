//! Notes, checkpoints, tile paths, proofs and requests to witnesses as texts: one spelling of each is read, and whatever else comes is
//! refused and no more.

use allowlog_proto::chain::Hash;
use allowlog_proto::checkpoint::{Checkpoint, CheckpointError, origin};
use allowlog_proto::limits::{SIGNED_NOTE_BYTES_MAX, SIGNED_NOTE_LINES_MAX};
use allowlog_proto::merkle::Tree;
use allowlog_proto::note::{KeyKind, Note, NoteError, NoteSignature, VerifierKey, cosigned_message};
use allowlog_proto::proof::{Proof, ProofError};
use allowlog_proto::signing::sign;
use allowlog_proto::tile::Tile;
use allowlog_proto::witness::{AddCheckpoint, AddCheckpointError};
use ed25519_dalek::{SigningKey, VerifyingKey};
use proptest::prelude::*;

use crate::fixtures;

/// The vector of the specification.
const VECTOR_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const VECTOR: &str = "This is an example message.\n\n\
    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

const ROOT: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn signing_key(tag: u8) -> SigningKey {
    SigningKey::from_bytes(&[tag; 32])
}

fn key(tag: u8, name: &str, kind: KeyKind) -> VerifierKey {
    VerifierKey::new(name, kind, signing_key(tag).verifying_key()).unwrap()
}

/// A checkpoint that its log and one witness signed.
fn cosigned() -> (Note, VerifierKey, VerifierKey) {
    let (log, witness) = (key(1, "example.com/log", KeyKind::Ed25519), key(2, "example.com/witness", KeyKind::Cosignature));
    let text = Checkpoint { origin: "example.com/log".to_owned(), size: 7, root: Hash([9; 32]) }.to_string();
    let signatures = vec![
        NoteSignature::ed25519(&log, sign(&signing_key(1), text.as_bytes())),
        NoteSignature::cosignature(&witness, 1_764_000_000, sign(&signing_key(2), cosigned_message(1_764_000_000, &text).as_bytes())),
    ];
    (Note { text, signatures }, log, witness)
}

#[test]
fn the_vector_of_the_specification_verifies() {
    let key = VerifierKey::parse(VECTOR_KEY).unwrap();
    assert_eq!((key.name(), key.key_id(), key.kind()), ("example.com/foo", [0x53, 0x0d, 0x90, 0x3a], KeyKind::Ed25519));
    assert_eq!(key.to_string(), VECTOR_KEY);
    let note = Note::parse(VECTOR).unwrap();
    assert_eq!(note.text, "This is an example message.\n");
    assert_eq!(note.to_string(), VECTOR);
    assert!(note.is_signed_by(&key));
    assert_eq!(note.cosigned_at(&key), None);
    for other in [
        VerifierKey::new("example.com/bar", KeyKind::Ed25519, *key.key()).unwrap(),
        VerifierKey::new("example.com/foo", KeyKind::Cosignature, *key.key()).unwrap(),
    ] {
        assert!(!note.is_signed_by(&other));
        assert_eq!(note.cosigned_at(&other), None);
    }
}

#[test]
fn every_altered_byte_of_the_vector_is_noticed() {
    let key = VerifierKey::parse(VECTOR_KEY).unwrap();
    for at in 0..VECTOR.len() {
        for bit in 0..8 {
            let mut bytes = VECTOR.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let signed =
                std::str::from_utf8(&bytes).ok().and_then(|note| Note::parse(note).ok()).is_some_and(|note| note.is_signed_by(&key));
            assert!(!signed, "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn a_cosignature_says_when() {
    let (note, log, witness) = cosigned();
    let read = Note::parse(&note.to_string()).unwrap();
    assert_eq!(read, note);
    assert!(read.is_signed_by(&log) && !read.is_signed_by(&witness));
    assert_eq!((read.cosigned_at(&witness), read.cosigned_at(&log)), (Some(1_764_000_000), None));
    assert_eq!(VerifierKey::parse(&witness.to_string()), Ok(witness.clone()));
    let cosignature = note.signatures[1].clone();
    for at in 0..72 {
        let mut other = note.clone();
        other.signatures[1].bytes[at] ^= 1;
        assert_eq!(other.cosigned_at(&witness), None, "byte {at}");
        // A line that does not verify does not spoil the one that does.
        other.signatures.push(cosignature.clone());
        assert_eq!(other.cosigned_at(&witness), Some(1_764_000_000));
    }
    for length in 0..72 {
        let mut other = note.clone();
        other.signatures[1].bytes.truncate(length);
        assert_eq!(other.cosigned_at(&witness), None, "{length} bytes");
    }
    // A witness that signed the text alone has not said when, and is not the log.
    let mut other = note.clone();
    other.signatures[1] = NoteSignature::ed25519(&witness, sign(&signing_key(2), note.text.as_bytes()));
    assert!(other.cosigned_at(&witness).is_none() && !other.is_signed_by(&witness));
    let mut other = note;
    other.text.push_str("more\n");
    assert!(!other.is_signed_by(&log) && other.cosigned_at(&witness).is_none());
}

#[test]
fn only_notes_are_read() {
    use NoteError::{Name, Shape, SignatureLine, TooLarge};
    let line = "— a AAAAAAA=\n";
    for (note, expected) in [
        (String::new(), Err(Shape)),
        ("text\n".to_owned(), Err(Shape)),
        ("text\n\n".to_owned(), Err(Shape)),
        (format!("text\n{line}"), Err(Shape)),
        (format!("text\n\n{}", line.trim_end()), Err(Shape)),
        (format!("text\r\n\n{line}"), Err(Shape)),
        (format!("te\0xt\n\n{line}"), Err(Shape)),
        (format!("text\n\n{line}{line}"), Ok(2)),
        (format!("text\n\n{line}\n{line}"), Ok(1)),
        (format!("te☂xt\n\nmore\n\n{line}"), Ok(1)),
        (format!("text\n\n\n{line}"), Ok(1)),
        (format!("text\n\n{line}- a AAAAAAA=\n"), Err(SignatureLine)),
        ("text\n\n—  AAAAAAA=\n".to_owned(), Err(Name)),
        ("text\n\n— a+b AAAAAAA=\n".to_owned(), Err(Name)),
        ("text\n\n— a\u{2003}b AAAAAAA=\n".to_owned(), Err(Name)),
        ("text\n\n— a AAAAAA==\n".to_owned(), Err(SignatureLine)),
        ("text\n\n— a AAAAAAB=\n".to_owned(), Err(SignatureLine)),
        ("text\n\n— a AAAAAAA\n".to_owned(), Err(SignatureLine)),
        ("text\n\n— a AAAAAAA= \n".to_owned(), Err(SignatureLine)),
        ("text\n\n— a b AAAAAAA=\n".to_owned(), Err(SignatureLine)),
        ("text\n\n— a\n".to_owned(), Err(SignatureLine)),
        (format!("text\n\n{}", line.repeat(SIGNED_NOTE_LINES_MAX)), Ok(SIGNED_NOTE_LINES_MAX)),
        (format!("text\n\n{}", line.repeat(SIGNED_NOTE_LINES_MAX + 1)), Err(TooLarge)),
        (format!("{}\n\n{line}", "a".repeat(SIGNED_NOTE_BYTES_MAX - line.len() - 2)), Ok(1)),
        (format!("{}\n\n{line}", "a".repeat(SIGNED_NOTE_BYTES_MAX - line.len() - 1)), Err(TooLarge)),
    ] {
        let read = Note::parse(&note);
        assert_eq!(read.as_ref().map(|note| note.signatures.len()).map_err(|e| *e), expected, "{note:?}");
        if let Ok(read) = read {
            assert_eq!(read.to_string(), note);
        }
    }
    assert_eq!(NoteSignature::parse(line), NoteSignature::parse(line.trim_end()));
    assert_eq!(NoteSignature::parse(line).unwrap().to_string(), line);
    assert!(NoteSignature::parse(&format!("{line}\n")).is_err());
}

#[test]
fn only_verifier_keys_are_read() {
    let public = data_encoding::BASE64.encode(&[&[1], &signing_key(1).verifying_key().to_bytes()[..]].concat());
    let good = key(1, "name", KeyKind::Ed25519);
    let id = data_encoding::HEXLOWER.encode(&good.key_id());
    assert_eq!(VerifierKey::parse(&format!("name+{id}+{public}")), Ok(good));
    let weak = data_encoding::BASE64.encode(&[&[1, 1], &[0; 31][..]].concat());
    let no_point = data_encoding::BASE64.encode(&[&[1, 2], &[0; 31][..]].concat());
    let of_type_2 = data_encoding::BASE64.encode(&[2; 33]);
    for (text, expected) in [
        (String::new(), NoteError::KeyShape),
        (format!("name+{public}"), NoteError::KeyShape),
        (format!("name+{id}0+{public}"), NoteError::KeyShape),
        (format!("name+{id}+{public}="), NoteError::KeyShape),
        (format!("name+{id}+"), NoteError::KeyShape),
        (format!("+{id}+{public}"), NoteError::Name),
        (format!("na me+{id}+{public}"), NoteError::Name),
        (format!("nome+{id}+{public}"), NoteError::KeyId),
        (format!("name+00000000+{public}"), NoteError::KeyId),
        (format!("name+{id}+{weak}"), NoteError::Key),
        (format!("name+{id}+{no_point}"), NoteError::Key),
        (format!("name+{id}+{}", &public[..40]), NoteError::Key),
        (format!("name+{id}+{of_type_2}"), NoteError::KeyKind),
    ] {
        assert_eq!(VerifierKey::parse(&text), Err(expected), "{text}");
    }
    let weak = VerifyingKey::from_bytes(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(VerifierKey::new("name", KeyKind::Ed25519, weak.unwrap()), Err(NoteError::Key));
}

#[test]
fn only_checkpoints_are_read() {
    use CheckpointError::{Root, Shape, Size};
    for (text, expected) in [
        (format!("a\n0\n{ROOT}\n"), Ok(0)),
        (format!("a\n18446744073709551615\n{ROOT}\n"), Ok(u64::MAX)),
        (format!("a b\n7\n{ROOT}\nmore\nand more\n"), Ok(7)),
        (format!("a\n7\n{ROOT}"), Err(Shape)),
        (format!("a\n7\n{ROOT}\n\n"), Err(Shape)),
        (format!("a\n7\n{ROOT}\n\nmore\n"), Err(Shape)),
        (format!("\n7\n{ROOT}\n"), Err(Shape)),
        ("a\n7\n".to_owned(), Err(Shape)),
        (String::new(), Err(Shape)),
        (format!("a\n07\n{ROOT}\n"), Err(Size)),
        (format!("a\n+7\n{ROOT}\n"), Err(Size)),
        (format!("a\n-7\n{ROOT}\n"), Err(Size)),
        (format!("a\n 7\n{ROOT}\n"), Err(Size)),
        (format!("a\n18446744073709551616\n{ROOT}\n"), Err(Size)),
        (format!("a\n7\n{}\n", &ROOT[4..]), Err(Root)),
        (format!("a\n7\n{}B=\n", &ROOT[..42]), Err(Root)),
        (format!("a\n7\n{ROOT} \n"), Err(Root)),
    ] {
        assert_eq!(Checkpoint::parse(&text).map(|checkpoint| checkpoint.size), expected, "{text:?}");
    }
    assert_eq!(origin(fixtures::workspace_id()), format!("allowlog/{}", fixtures::workspace_id()));
}

#[test]
fn tiles_have_one_path_each() {
    let hashes = |level, index, width| Tile::Hashes { level, index, width };
    for (path, tile) in [
        ("0/000", hashes(0, 0, 256)),
        ("7/000.p/1", hashes(7, 0, 1)),
        ("1/999", hashes(1, 999, 256)),
        ("1/x001/000.p/255", hashes(1, 1000, 255)),
        ("0/x001/x234/067", hashes(0, 1_234_067, 256)),
        ("entries/x001/x234/067.p/17", Tile::Entries { index: 1_234_067, width: 17 }),
        ("0/x018/x446/x744/x073/x709/x551/615", hashes(0, u64::MAX, 256)),
    ] {
        assert_eq!(Tile::parse(path), Some(tile), "{path}");
        assert_eq!(tile.to_string(), format!("tile/{path}"));
    }
    for path in [
        "",
        "0",
        "0/",
        "0/0",
        "0/00",
        "0/0000",
        "0/x000",
        "0/x000/001",
        "0/x000/x001/001",
        "0/001/001",
        "0/x001/x001",
        "0/x1/001",
        "0/x001//001",
        "0/x001/001/",
        "0//001",
        "/0/001",
        "0/+01",
        "0/-01",
        "0/00a",
        "0/００1",
        "0/X001/001",
        "00/001",
        "8/001",
        "64/001",
        "256/001",
        "+1/001",
        "-1/001",
        "Entries/001",
        "entries",
        "tile/0/001",
        "0/001.p",
        "0/001.p/",
        "0/001.p/0",
        "0/001.p/01",
        "0/001.p/256",
        "0/001.p/257",
        "0/001.p/65537",
        "0/001.p/+1",
        "0/001.p/1/",
        "0/001.p/1.p/1",
        "0/x018/x446/x744/x073/x709/x551/616",
        "0/x001/x000/x000/x000/x000/x000/x000/000",
    ] {
        assert_eq!(Tile::parse(path), None, "{path}");
    }
}

#[test]
fn proofs_and_requests_are_read_as_they_are_written() {
    let (checkpoint, ..) = cosigned();
    let hashes = |count: u8| (0..count).map(|n| Hash([n; 32])).collect::<Vec<_>>();
    for count in [0, 1, 63] {
        for extra in [vec![], vec![5; 32]] {
            let proof = Proof { extra, index: u64::from(count), hashes: hashes(count), checkpoint: checkpoint.clone() };
            assert_eq!(Proof::parse(&proof.to_string()), Ok(proof));
        }
        let request = AddCheckpoint { old: u64::from(count), proof: hashes(count), checkpoint: checkpoint.clone() };
        assert_eq!(AddCheckpoint::parse(&request.to_string()), Ok(request));
    }
    let proof = Proof { extra: vec![5; 32], index: 3, hashes: hashes(64), checkpoint: checkpoint.clone() };
    assert_eq!(Proof::parse(&proof.to_string()), Err(ProofError::Shape));
    let request = AddCheckpoint { old: 3, proof: hashes(64), checkpoint: checkpoint.clone() };
    assert_eq!(AddCheckpoint::parse(&request.to_string()), Err(AddCheckpointError::Shape));

    let proof = Proof { hashes: hashes(2), ..proof }.to_string();
    for (from, to, expected) in [
        ("@v1", "@v2", ProofError::Version),
        ("c2sp", " c2sp", ProofError::Version),
        ("extra ", "extra", ProofError::Shape),
        ("extra ", "extra =", ProofError::Shape),
        ("extra BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=", "extra ", ProofError::Shape),
        ("index 3", "index 03", ProofError::Shape),
        ("index 3\n", "", ProofError::Shape),
        ("index 3\n", "index 3\nindex 3\n", ProofError::Shape),
        ("AAA=\n", "AAA=\r\n", ProofError::Shape),
        ("AAA=\n", "AAA=\n\n", ProofError::Note(NoteError::SignatureLine)),
        ("\n\nexample", "\nexample", ProofError::Shape),
        ("\n\n—", "\n—", ProofError::Note(NoteError::Shape)),
    ] {
        let other = proof.replacen(from, to, 1);
        assert_ne!(other, proof);
        // Where a hash is cut off from its proof it becomes a line of the checkpoint's text, which the signature does not cover.
        let found = Proof::parse(&other);
        let is_refused = found == Err(expected) || found.as_ref().is_ok_and(|proof| proof.checkpoint.text != checkpoint.text);
        assert!(is_refused, "{from:?} as {to:?}: {found:?}");
    }
    let request = AddCheckpoint { proof: hashes(2), ..request }.to_string();
    for (from, to) in
        [("old 3", "old 03"), ("old 3", "old"), ("old ", "Old "), ("old 3\n", ""), ("old 3\n", "old 3 \n"), ("\n\nexample", "\nexample")]
    {
        let other = request.replacen(from, to, 1);
        assert_ne!(other, request);
        assert_eq!(AddCheckpoint::parse(&other), Err(AddCheckpointError::Shape), "{from:?} as {to:?}");
    }
    let long = format!("old 3\n\n{}", "a".repeat(2 * SIGNED_NOTE_BYTES_MAX));
    assert_eq!(AddCheckpoint::parse(&long), Err(AddCheckpointError::TooLarge));
    assert_eq!(Proof::parse(&long), Err(ProofError::TooLarge));
}

/// Pieces of all these texts, so that random ones get somewhere.
const PIECES: &[&str] = &[
    "c2sp.org/tlog-proof@v1\n",
    "extra AAAA\n",
    "index 3\n",
    "old 7\n",
    "\n",
    "example.com/log\n",
    "0\n",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    "— a AAAAAAA=\n",
    "— ",
    "a",
    "+",
    "530d903a",
    "x001/",
    "234",
    ".p/",
    "/",
    "\r",
    "☂",
];

proptest! {
    #[test]
    fn readers_are_total_and_read_what_is_written(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..14), noise in ".{0,6}") {
        let mut text = pieces.concat();
        for text in [text.clone(), { text.push_str(&noise); text }] {
            if let Ok(note) = Note::parse(&text) {
                prop_assert_eq!(note.to_string(), text.clone());
                let _ = Checkpoint::parse(&note.text);
            }
            if let Ok(proof) = Proof::parse(&text) {
                prop_assert_eq!(proof.to_string(), text.clone());
            }
            if let Ok(request) = AddCheckpoint::parse(&text) {
                prop_assert_eq!(request.to_string(), text.clone());
            }
            if let Some(tile) = Tile::parse(&text) {
                prop_assert_eq!(tile.to_string(), format!("tile/{text}"));
            }
            if let Ok(checkpoint) = Checkpoint::parse(&text) {
                prop_assert!(text.starts_with(&checkpoint.to_string()));
            }
            let _ = VerifierKey::parse(&text);
            let _ = NoteSignature::parse(&text);
        }
    }

    #[test]
    fn sound_texts_come_back(size: u64, index: u64, width in 1_u16..=256, level in 0_u8..=7, tag: u8, name in "[a-z./☂-]{1,12}") {
        let tile = Tile::Hashes { level, index, width };
        prop_assert_eq!(Tile::parse(tile.to_string().strip_prefix("tile/").unwrap()), Some(tile));
        let tile = Tile::Entries { index, width };
        prop_assert_eq!(Tile::parse(tile.to_string().strip_prefix("tile/").unwrap()), Some(tile));
        let checkpoint = Checkpoint { origin: name.clone(), size, root: Tree::new().root() };
        prop_assert_eq!(Checkpoint::parse(&checkpoint.to_string()), Ok(checkpoint));
        for kind in [KeyKind::Ed25519, KeyKind::Cosignature] {
            let key = key(tag, &name, kind);
            prop_assert_eq!(VerifierKey::parse(&key.to_string()), Ok(key));
        }
    }
}
