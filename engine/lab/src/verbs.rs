//! One list per kind of thing: a step, fault or check is a struct of common fields plus one optional field
//! per verb, and this macro makes it from the list.

/// Makes the struct, the list of its verbs' names, and access to the one verb that is set.
macro_rules! verbs {
    (
        $(#[$doc:meta])*
        pub struct $Name:ident ($what:literal) does $Verb:ident {
            $( $(#[$common_doc:meta])* pub $common:ident: $Common:ty, )*
        }
        verbs {
            $( $(#[doc = $verb_doc:literal])* $name:literal $field:ident: $Type:ty, )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        #[schemars(extend("x-one-of-fields" = {"what": $what, "fields": [$($name),*]}))]
        pub struct $Name {
            $( $(#[$common_doc])* pub $common: $Common, )*
            $(
                $(#[doc = $verb_doc])*
                #[serde(rename = $name, default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$Type>,
            )*
        }

        impl $Name {
            /// The verbs, in the order of the list.
            pub const VERBS: &[&str] = &[$($name),*];

            /// The verb that is set, and its name.
            pub(crate) fn verb(&self) -> (&'static str, &dyn $Verb) {
                $( if let Some(verb) = &self.$field { return ($name, verb); } )*
                unreachable!("the loader refuses a {} without a verb", $what)
            }
        }
    };
}

pub(crate) use verbs;
