//! Codes of the gate, those of failures in the order of its tests.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $reason:literal;)*) => {
        /// A test of the gate that was passed or failed. Failures come first, in the order of the tests: the first that applies decides.
        ///
        /// Source: section 4 of the AffixIO API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code, in the order of the variants.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The spelling on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// What a receipt has as the reason of a decision that this code decided.
            pub const fn reason(self) -> &'static str {
                match self {
                    $(Self::$name => $reason,)*
                }
            }
        }
    };
}

codes! {
    /// No such agent in this workspace.
    AgentNotFound = "AGENT_NOT_FOUND", "agent_not_found";
    /// It may not act for now.
    AgentSuspended = "AGENT_SUSPENDED", "agent_suspended";
    /// It may not act any more.
    AgentRevoked = "AGENT_REVOKED", "agent_revoked";
    /// No such delegation in this workspace.
    DelegationNotFound = "DELEGATION_NOT_FOUND", "delegation_not_found";
    /// It is another agent's.
    DelegationAgentMismatch = "DELEGATION_AGENT_MISMATCH", "delegation_agent_mismatch";
    /// It was revoked.
    DelegationRevoked = "DELEGATION_REVOKED", "authorization_revoked";
    /// Its time has not begun.
    DelegationNotYetValid = "DELEGATION_NOT_YET_VALID", "authorization_not_yet_valid";
    /// Its time is over.
    DelegationExpired = "DELEGATION_EXPIRED", "authorization_expired";
    /// It does not grant what was asked for, or what it is about is closed by a tombstone.
    PermissionNotGranted = "PERMISSION_NOT_GRANTED", "permission_not_granted";
    /// The device was revoked.
    DeviceRevoked = "DEVICE_REVOKED", "device_revoked";
    /// The delegation wants a registered device.
    DeviceNotTrusted = "DEVICE_NOT_TRUSTED", "device_not_trusted";
    /// The merchant or its category is not allowed, or not known.
    MerchantNotAllowed = "MERCHANT_NOT_ALLOWED", "merchant_not_allowed";
    /// The currency is not allowed, or not known.
    CurrencyNotAllowed = "CURRENCY_NOT_ALLOWED", "currency_not_allowed";
    /// The channel is not allowed, or not known.
    ChannelNotAllowed = "CHANNEL_NOT_ALLOWED", "channel_not_allowed";
    /// More than one payment may be, or not known.
    AmountLimitExceeded = "AMOUNT_LIMIT_EXCEEDED", "amount_limit_exceeded";
    /// More than what is left of the day.
    DailyLimitExceeded = "DAILY_LIMIT_EXCEEDED", "daily_limit_exceeded";
    /// More than what is left of the period.
    PeriodLimitExceeded = "PERIOD_LIMIT_EXCEEDED", "period_limit_exceeded";
    /// A reviewer said no less than 24 h ago.
    ManualReviewRejected = "MANUAL_REVIEW_REJECTED", "escalation_rejected";
    /// A reviewer is to be asked first.
    ManualReviewRequired = "MANUAL_REVIEW_REQUIRED", "escalation_required";
    /// The user is to be asked first.
    StepUpRequired = "STEP_UP_REQUIRED", "scope_requires_user_confirmation";
    /// Passed: the delegation stands.
    DelegationValid = "DELEGATION_VALID", "authorization_granted_scope_active";
    /// Passed: the device is registered.
    DeviceTrusted = "DEVICE_TRUSTED", "authorization_granted_scope_active";
    /// Passed: nobody registered the device.
    DeviceUnverified = "DEVICE_UNVERIFIED", "authorization_granted_scope_active";
    /// Passed: the merchant may be paid.
    MerchantAllowed = "MERCHANT_ALLOWED", "authorization_granted_scope_active";
    /// Passed: less is allowed than was asked for.
    AmountCapped = "AMOUNT_CAPPED", "authorization_granted_scope_active";
    /// Passed: a reviewer said yes, and that is used up.
    ManualReviewApproved = "MANUAL_REVIEW_APPROVED", "authorization_granted_via_escalation";
    /// Passed: the user said yes a moment ago.
    StepUpConfirmed = "STEP_UP_CONFIRMED", "authorization_granted_via_confirmation";
}

impl Code {
    /// Whether the test was failed, or somebody is to be asked.
    pub const fn is_failure(self) -> bool {
        !matches!(
            self,
            Self::DelegationValid
                | Self::DeviceTrusted
                | Self::DeviceUnverified
                | Self::MerchantAllowed
                | Self::AmountCapped
                | Self::ManualReviewApproved
                | Self::StepUpConfirmed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_come_first_in_the_order_of_the_variants() {
        assert!(Code::ALL.is_sorted());
        assert_eq!(Code::ALL.iter().position(|code| !code.is_failure()), Some(20));
        assert_eq!(Code::ALL.iter().filter(|code| code.is_failure()).count(), 20);
    }
}
