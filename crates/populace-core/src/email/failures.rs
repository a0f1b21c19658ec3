//! Why a message was not delivered, or not yet: what providers write about it.

/// The answer to an attempt that failed, or why there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reply {
    /// The server puts off who it does not know.
    Greylisted,
    /// Too much is sent at once.
    RateLimited,
    /// The server is in trouble.
    ServerTrouble,
    /// The mailbox is full.
    MailboxFull,
    /// The address does not exist.
    NoSuchMailbox,
    /// It was tried for too long.
    Expired,
    /// It was tried for too long, and the mailbox was full.
    ExpiredFull,
    /// Nothing was sent: a message to this address has bounced.
    BouncedAddress,
    /// Nothing was sent: the recipient does not want it.
    UnsubscribedAddress,
}

/// What is written of a reply.
struct Written {
    code: Option<u16>,
    enhanced: Option<&'static str>,
    response: &'static str,
    class: Option<&'static str>,
}

impl Reply {
    /// All, by number.
    pub const ALL: [Self; 9] = [
        Self::Greylisted,
        Self::RateLimited,
        Self::ServerTrouble,
        Self::MailboxFull,
        Self::NoSuchMailbox,
        Self::Expired,
        Self::ExpiredFull,
        Self::BouncedAddress,
        Self::UnsubscribedAddress,
    ];

    /// Codes: RFC 5321 and RFC 3463; classes: those of SendGrid's `bounce_classification`; `554 4.4.7` is what Amazon SES writes of a
    /// message that expired; reasons of what is dropped: SendGrid's.
    const fn written(self) -> Written {
        const fn answer(code: u16, enhanced: &'static str, response: &'static str, class: &'static str) -> Written {
            Written { code: Some(code), enhanced: Some(enhanced), response, class: Some(class) }
        }
        const fn dropped(response: &'static str) -> Written {
            Written { code: None, enhanced: None, response, class: None }
        }
        match self {
            Self::Greylisted => answer(451, "4.7.1", "451 4.7.1 Greylisted, please try again later", "Reputation"),
            Self::RateLimited => {
                answer(421, "4.7.28", "421 4.7.28 Too much mail at once, please slow down", "Frequency or Volume Too High")
            }
            Self::ServerTrouble => answer(451, "4.3.0", "451 4.3.0 Temporary server error, please try again later", "Technical Failure"),
            Self::MailboxFull => answer(452, "4.2.2", "452 4.2.2 The mailbox is full", "Mailbox Unavailable"),
            Self::NoSuchMailbox => answer(550, "5.1.1", "550 5.1.1 The address does not exist", "Invalid Address"),
            Self::Expired => answer(554, "4.4.7", "554 4.4.7 Message expired", "Technical Failure"),
            Self::ExpiredFull => answer(554, "4.4.7", "554 4.4.7 Message expired: the mailbox is full", "Mailbox Unavailable"),
            Self::BouncedAddress => dropped("Bounced Address"),
            Self::UnsubscribedAddress => dropped("Unsubscribed Address"),
        }
    }

    /// The reply code of SMTP (RFC 5321); `None` of what was never sent.
    pub const fn smtp_code(self) -> Option<u16> {
        self.written().code
    }

    /// The enhanced status code (RFC 3463).
    pub const fn enhanced_code(self) -> Option<&'static str> {
        self.written().enhanced
    }

    /// The text.
    pub const fn response(self) -> &'static str {
        self.written().response
    }

    /// One of SendGrid's seven classes.
    pub const fn class(self) -> Option<&'static str> {
        self.written().class
    }

    /// Whether the message is tried again.
    pub const fn is_deferral(self) -> bool {
        matches!(self, Self::Greylisted | Self::RateLimited | Self::ServerTrouble | Self::MailboxFull)
    }

    /// `hard` or `soft` of a bounce.
    pub const fn bounce_type(self) -> Option<&'static str> {
        match self {
            Self::NoSuchMailbox => Some("hard"),
            Self::Expired | Self::ExpiredFull => Some("soft"),
            _ => None,
        }
    }
}
