//! Fields of `Config` as values of settings, and back.
//!
//! A new type of field gets a line here; a new field of a known type needs none.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::kind::{SettingKind, SettingValue};
use crate::config::{Beyond, LogForm, NameRuleTexts, Registration};

/// A field of `Config`: what kind of value it is, and back.
pub(super) trait ConfigField: Sized {
    fn value(&self, kind: &SettingKind) -> SettingValue;
    /// `None` when the value is of another kind, or too large for the type.
    fn held(value: SettingValue) -> Option<Self>;
}

macro_rules! number_is_held {
    ($($number:ty)*) => {$(
        impl ConfigField for $number {
            fn value(&self, kind: &SettingKind) -> SettingValue {
                let number = u64::try_from(*self).unwrap_or(u64::MAX);
                if matches!(kind, SettingKind::Size(_)) { SettingValue::Size(number) } else { SettingValue::Count(number) }
            }

            fn held(value: SettingValue) -> Option<$number> {
                value.measure().and_then(|number| number.try_into().ok())
            }
        }
    )*};
}

macro_rules! is_held {
    ($($held:ty as $variant:ident)*) => {$(
        impl ConfigField for $held {
            fn value(&self, _kind: &SettingKind) -> SettingValue {
                SettingValue::$variant(self.clone())
            }

            fn held(value: SettingValue) -> Option<$held> {
                if let SettingValue::$variant(held) = value { Some(held) } else { None }
            }
        }
    )*};
}

number_is_held!(u32 u64 usize);
is_held!(Duration as Time bool as Switch PathBuf as Path SocketAddr as Address Vec<String> as Hosts String as Word
    NameRuleTexts as NameRules);

impl ConfigField for Option<String> {
    fn value(&self, _kind: &SettingKind) -> SettingValue {
        SettingValue::Database(self.clone().unwrap_or_default())
    }

    fn held(value: SettingValue) -> Option<Option<String>> {
        if let SettingValue::Database(address) = value { Some(Some(address)) } else { None }
    }
}

impl ConfigField for Option<PathBuf> {
    fn value(&self, _kind: &SettingKind) -> SettingValue {
        SettingValue::Path(self.clone().unwrap_or_default())
    }

    fn held(value: SettingValue) -> Option<Option<PathBuf>> {
        let SettingValue::Path(path) = value else { return None };
        Some((!path.as_os_str().is_empty()).then_some(path))
    }
}

impl ConfigField for Vec<IpNet> {
    fn value(&self, _kind: &SettingKind) -> SettingValue {
        SettingValue::Hosts(self.iter().map(IpNet::to_string).collect())
    }

    fn held(value: SettingValue) -> Option<Vec<IpNet>> {
        let SettingValue::Hosts(networks) = value else { return None };
        networks.iter().map(|network| network.parse().ok()).collect()
    }
}

impl ConfigField for LogForm {
    fn value(&self, _kind: &SettingKind) -> SettingValue {
        SettingValue::Word(if *self == LogForm::Json { "json" } else { "text" }.to_owned())
    }

    fn held(value: SettingValue) -> Option<LogForm> {
        match value.text().as_str() {
            "json" => Some(LogForm::Json),
            "text" => Some(LogForm::Text),
            _ => None,
        }
    }
}

impl ConfigField for Registration {
    fn value(&self, _kind: &SettingKind) -> SettingValue {
        let word = match self {
            Registration::Off => "off",
            Registration::Invitation => "invitation",
            Registration::Open => "open",
        };
        SettingValue::Word(word.to_owned())
    }

    fn held(value: SettingValue) -> Option<Registration> {
        match value.text().as_str() {
            "off" => Some(Registration::Off),
            "invitation" => Some(Registration::Invitation),
            "open" => Some(Registration::Open),
            _ => None,
        }
    }
}

impl ConfigField for Beyond {
    fn value(&self, _kind: &SettingKind) -> SettingValue {
        let word = match self {
            Beyond::No => "no",
            Beyond::Proxy => "proxy",
            Beyond::PrivateNetwork => "private-network",
        };
        SettingValue::Word(word.to_owned())
    }

    fn held(value: SettingValue) -> Option<Beyond> {
        match value.text().as_str() {
            "no" => Some(Beyond::No),
            "proxy" => Some(Beyond::Proxy),
            "private-network" => Some(Beyond::PrivateNetwork),
            _ => None,
        }
    }
}
