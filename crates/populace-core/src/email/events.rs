//! The types of event.

use crate::section::choice;

/// The types of event: the first ten are simulated in any document, those after them where a mechanism is on, and `resubscribed` comes in
/// from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EventType {
    /// `sent`
    Sent,
    /// `delivered`
    Delivered,
    /// `opened`
    Opened,
    /// `clicked`
    Clicked,
    /// `support_ticket`
    SupportTicket,
    /// `complaint`
    Complaint,
    /// `unsubscribe_request`
    UnsubscribeRequest,
    /// `site_visit`
    SiteVisit,
    /// `sms_click`
    SmsClick,
    /// `product_view`
    ProductView,
    /// `deferred`
    Deferred,
    /// `bounced`
    Bounced,
    /// `dropped`
    Dropped,
    /// `unsubscribed`
    Unsubscribed,
    /// `spam_reported`
    SpamReported,
    /// `resubscribed`
    Resubscribed,
}

impl EventType {
    /// All, by number.
    pub const ALL: [Self; 16] = [
        Self::Sent,
        Self::Delivered,
        Self::Opened,
        Self::Clicked,
        Self::SupportTicket,
        Self::Complaint,
        Self::UnsubscribeRequest,
        Self::SiteVisit,
        Self::SmsClick,
        Self::ProductView,
        Self::Deferred,
        Self::Bounced,
        Self::Dropped,
        Self::Unsubscribed,
        Self::SpamReported,
        Self::Resubscribed,
    ];

    /// The names as written, by number.
    pub const NAMES: [&str; 16] = [
        "sent",
        "delivered",
        "opened",
        "clicked",
        "support_ticket",
        "complaint",
        "unsubscribe_request",
        "site_visit",
        "sms_click",
        "product_view",
        "deferred",
        "bounced",
        "dropped",
        "unsubscribed",
        "spam_reported",
        "resubscribed",
    ];

    /// How many of them any document simulates.
    pub const OF_EVERY_DOCUMENT: usize = 10;

    /// The names of those that are simulated, by number.
    pub const SIMULATED: [&str; 15] = {
        let mut names = [""; 15];
        let mut number = 0;
        while number < names.len() {
            names[number] = Self::NAMES[number];
            number += 1;
        }
        names
    };

    /// That of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name as written.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// What kind of event it is.
    pub const fn group(self) -> Group {
        match self {
            Self::Sent | Self::Delivered | Self::Opened | Self::Clicked => Group::Mail,
            Self::SupportTicket | Self::Complaint | Self::UnsubscribeRequest => Group::Breaker,
            Self::SiteVisit | Self::SmsClick | Self::ProductView => Group::HotPath,
            Self::Deferred | Self::Bounced | Self::Dropped => Group::Failure,
            Self::Unsubscribed | Self::SpamReported => Group::Leaving,
            Self::Resubscribed => Group::Return,
        }
    }
}

/// What types of event have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// They are steps of a message.
    Mail,
    /// After them a user does not engage.
    Breaker,
    /// After them a user engages more.
    HotPath,
    /// A message did not arrive, or not yet.
    Failure,
    /// After them a user is not mailed any more.
    Leaving,
    /// After them a user may be mailed again.
    Return,
}

choice! {
    /// Providers whose names the types of event may have.
    pub enum EventNames {
        /// The Event Webhook of SendGrid.
        Sendgrid,
        /// Event publishing of Amazon SES.
        Ses,
        /// The webhooks of Mailgun, where a deferral and a bounce are both `failed`: `bounce_type` is null of the first.
        Mailgun,
    }
}

impl EventNames {
    /// The words for them.
    pub const ALL: [&str; 3] = ["sendgrid", "ses", "mailgun"];

    /// The name of a type; what a provider does not report keeps its own.
    pub const fn of(self, kind: EventType) -> &'static str {
        let [sendgrid, ses, mailgun] = match kind {
            EventType::Sent => ["processed", "Send", "accepted"],
            EventType::Delivered => ["delivered", "Delivery", "delivered"],
            EventType::Opened => ["open", "Open", "opened"],
            EventType::Clicked => ["click", "Click", "clicked"],
            EventType::Deferred => ["deferred", "DeliveryDelay", "failed"],
            EventType::Bounced => ["bounce", "Bounce", "failed"],
            EventType::Dropped => ["dropped", "Reject", "rejected"],
            EventType::Unsubscribed => ["unsubscribe", "Subscription", "unsubscribed"],
            EventType::SpamReported => ["spamreport", "Complaint", "complained"],
            other => [other.name(); 3],
        };
        match self {
            Self::Sendgrid => sendgrid,
            Self::Ses => ses,
            Self::Mailgun => mailgun,
        }
    }
}
