//! Closed lists that are displayed, parsed and stored in their pinned wire form.

/// Implements `parse`, `Display` and serde for an enum from its `ALL` and `as_str`.
macro_rules! by_wire_form {
    ($name:ident, $what:literal) => {
        impl $name {
            /// Reads the wire form.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| {
                    serde::de::Error::custom(format_args!(concat!("`{}` is not a known ", $what), text))
                })
            }
        }
    };
}

pub(crate) use by_wire_form;
