//! Who keeps the mailboxes of recipients.

use crate::stream::{ActorKey, Purpose, unit};

/// Of a person: ordinal 2, word 3 is the provider of the mailbox.
const PERSON: Purpose = Purpose::new(15);
const CLIENT: u64 = 2;

/// The share of the mailboxes of other providers that a feedback loop covers: a choice of ours.
const OTHERS_REPORTING: f64 = 0.5;

/// Who keeps a recipient's mailbox. The shares are choices of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MailboxProvider {
    /// `gmail`
    Gmail,
    /// `yahoo`
    Yahoo,
    /// `outlook`
    Outlook,
    /// `apple`
    Apple,
    /// `other`
    Other,
}

impl MailboxProvider {
    /// All, by number.
    pub const ALL: [Self; 5] = [Self::Gmail, Self::Yahoo, Self::Outlook, Self::Apple, Self::Other];

    /// The names as written, by number.
    pub const NAMES: [&str; 5] = ["gmail", "yahoo", "outlook", "apple", "other"];

    /// The shares of recipients, by number.
    pub const SHARES: [f64; 5] = [0.42, 0.14, 0.16, 0.10, 0.18];

    /// The name as written.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The share of its mailboxes whose complaints a feedback loop reports by person: Gmail says how many there are, Apple nothing.
    pub const fn reporting(self) -> f64 {
        match self {
            Self::Gmail | Self::Apple => 0.0,
            Self::Yahoo | Self::Outlook => 1.0,
            Self::Other => OTHERS_REPORTING,
        }
    }
}

/// The mailbox of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Who keeps it.
    pub provider: MailboxProvider,
    /// Whether a feedback loop tells the sender of its owner's complaints.
    pub reports: bool,
}

/// The mailbox of an actor, whatever mechanisms are on.
pub(super) fn mailbox(actor: &ActorKey) -> Mailbox {
    let mut place = unit(actor.purpose(PERSON).ordinal(CLIENT).words().word::<3>());
    let mut provider = MailboxProvider::Gmail;
    for next in MailboxProvider::ALL {
        provider = next;
        if place < MailboxProvider::SHARES[next as usize] {
            break;
        }
        place -= MailboxProvider::SHARES[next as usize];
    }
    Mailbox { provider, reports: place < MailboxProvider::SHARES[provider as usize] * provider.reporting() }
}
