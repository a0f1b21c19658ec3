//! The types of event.

/// The ten types of event.
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
}

impl EventType {
    /// All, by number.
    pub const ALL: [Self; 10] = [
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
    ];

    /// The names as written, by number.
    pub const NAMES: [&str; 10] = [
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
    ];

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
}
