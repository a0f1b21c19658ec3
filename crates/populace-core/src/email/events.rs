//! The types of event.

/// The types of event: the first ten are simulated, the others come in from elsewhere.
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
    /// `bounced`
    Bounced,
    /// `deferred`
    Deferred,
    /// `resubscribed`
    Resubscribed,
}

impl EventType {
    /// All, by number.
    pub const ALL: [Self; 13] = [
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
        Self::Bounced,
        Self::Deferred,
        Self::Resubscribed,
    ];

    /// The names as written, by number.
    pub const NAMES: [&str; 13] = [
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
        "bounced",
        "deferred",
        "resubscribed",
    ];

    /// The names of those that are simulated, by number.
    pub const SIMULATED: [&str; 10] = {
        let mut names = [""; 10];
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
            Self::Bounced | Self::Deferred => Group::Failure,
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
    /// After them a user may be mailed again.
    Return,
}
