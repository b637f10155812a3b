//! The state as bytes, for snapshots and for its hash: every field in its order, lists with their count before them.
//!
//! Fields of our own structs are listed by [`stored!`], which names every one of them: a field that is added does not
//! compile until it is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::sync::Arc;

use allowlog_proto::chain::Hash;
use allowlog_proto::event::{
    AgentKind, AgentStatus, AgentTerms, Budget, Bundle, ConsentScope, Constraints, Payment, PaymentLimits, Plan, Role, Settlement, Style,
    Withdrawer,
};
use allowlog_proto::id::{
    ApiKeyId, AuthorizationId, ConsentAgentId, ConsentId, DeviceId, EscalationId, KeyId, Nonce, OfflineTokenId, OfflineTransactionId,
    PaymentIntentId, ReceiptId, RegisteredAgentId, TombstoneId, WorkspaceId,
};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::merkle::Tree;
use allowlog_proto::money::{Amount, Currency};
use allowlog_proto::redirect::RedirectUrl;
use allowlog_proto::snapshot::{load, save};
use allowlog_proto::text::{
    AgentId, Approver, BundleId, Channel, ClientRef, Email, IdempotencyKey, MerchantId, Name, Note, OpaqueId, Resource, ScopeName, UserId,
};
use allowlog_proto::time::Timestamp;

/// What can be written into a snapshot and read back the same.
pub(super) trait Stored: Sized {
    fn save(&self, to: &mut dyn Write) -> io::Result<()>;
    fn load(from: &mut dyn Read) -> io::Result<Self>;
}

/// Stores a struct by its fields, in this order.
macro_rules! stored {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl crate::state::stored::Stored for $type {
            fn save(&self, to: &mut dyn std::io::Write) -> std::io::Result<()> {
                let Self { $($field),* } = self;
                $(crate::state::stored::Stored::save($field, to)?;)*
                Ok(())
            }

            fn load(from: &mut dyn std::io::Read) -> std::io::Result<Self> {
                Ok(Self { $($field: crate::state::stored::Stored::load(from)?),* })
            }
        }
    };
}
pub(super) use stored;

/// Values of `proto`, which are items of a snapshot by themselves.
macro_rules! items {
    ($($type:ty),* $(,)?) => {
        $(impl Stored for $type {
            fn save(&self, to: &mut dyn Write) -> io::Result<()> {
                save(self, to)
            }

            fn load(from: &mut dyn Read) -> io::Result<Self> {
                load(from)
            }
        })*
    };
}

items!(bool, u8, u64, usize, [u8; 16], [u8; 32], Timestamp);
items!(ApiKeyId, AuthorizationId, ConsentAgentId, ConsentId, EscalationId, KeyId, Nonce, TombstoneId, WorkspaceId);
items!(AgentId, Approver, BundleId, IdempotencyKey, Name, Note, Resource, ScopeName, UserId);
items!(AgentTerms, Budget, Bundle, ConsentScope, Constraints, Plan, Role, Style, Withdrawer);
items!(CanonicalObject, Email, RedirectUrl, u32);
items!(DeviceId, OfflineTokenId, OfflineTransactionId, PaymentIntentId, ReceiptId, RegisteredAgentId);
items!(AgentKind, AgentStatus, Amount, Channel, ClientRef, Currency, MerchantId, OpaqueId, Payment, PaymentLimits, Settlement);

impl Stored for Tree {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.size().save(to)?;
        self.edge().iter().try_for_each(|hash| hash.0.save(to))
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        let size = u64::load(from)?;
        let edge = (0..size.count_ones()).map(|_| <[u8; 32]>::load(from).map(Hash)).collect::<io::Result<_>>()?;
        Self::from_edge(size, edge).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a tree has a hash for each power of two"))
    }
}

impl<T: Stored> Stored for Option<T> {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.is_some().save(to)?;
        self.iter().try_for_each(|value| value.save(to))
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        bool::load(from)?.then(|| T::load(from)).transpose()
    }
}

impl<T: Stored> Stored for Box<T> {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        (**self).save(to)
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        T::load(from).map(Self::new)
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.0.save(to)?;
        self.1.save(to)
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        Ok((A::load(from)?, B::load(from)?))
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.len().save(to)?;
        self.iter().try_for_each(|member| member.save(to))
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        collect(from)
    }
}

impl<T: Stored> Stored for Box<[T]> {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.len().save(to)?;
        self.iter().try_for_each(|member| member.save(to))
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        collect(from)
    }
}

impl<T: Stored> Stored for Arc<[T]> {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.len().save(to)?;
        self.iter().try_for_each(|member| member.save(to))
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        collect(from)
    }
}

impl<T: Stored + Ord> Stored for BTreeSet<T> {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.len().save(to)?;
        self.iter().try_for_each(|member| member.save(to))
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        collect(from)
    }
}

impl<K: Stored + Ord, V: Stored> Stored for BTreeMap<K, V> {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.len().save(to)?;
        self.iter().try_for_each(|(key, value)| key.save(to).and_then(|()| value.save(to)))
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        collect::<(K, V), _>(from)
    }
}

/// The members behind their count.
fn collect<T: Stored, C: FromIterator<T>>(from: &mut dyn Read) -> io::Result<C> {
    let count = usize::load(from)?;
    (0..count).map(|_| T::load(from)).collect()
}

/// A byte that stands for no variant.
pub(super) fn unknown(tag: u8) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no variant has the number {tag}"))
}
