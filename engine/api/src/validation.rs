//! Syntax of names, labels and ports, with upstream's words for what is wrong; no words, nothing wrong.
//! Counterpart: `k8s.io/apimachinery/pkg/util/validation`.

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const DNS1035_LABEL: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED_NAME: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const ENV_VAR_NAME: &str = "[-._a-zA-Z][-._a-zA-Z0-9]*";
const CONFIG_MAP_KEY: &str = "[-._a-zA-Z0-9]+";

const LABEL_LENGTH_MAX: usize = 63;
const SUBDOMAIN_LENGTH_MAX: usize = 253;

/// The name of a namespace, a container or a port of a service.
pub fn is_dns1123_label(value: &str) -> Vec<String> {
    let mut errors = too_long(value, LABEL_LENGTH_MAX);
    if !matches_label(value) {
        errors.push(if matches_subdomain(value) {
            "must not contain dots".to_owned()
        } else {
            let rule = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
                        and must start and end with an alphanumeric character";
            regex_error(rule, LABEL, &["my-name", "123-abc"])
        });
    }
    errors
}

/// The name of most objects.
pub fn is_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut errors = too_long(value, SUBDOMAIN_LENGTH_MAX);
    if !matches_subdomain(value) {
        let rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
                    '.', and must start and end with an alphanumeric character";
        errors.push(regex_error(rule, SUBDOMAIN, &["example.com"]));
    }
    errors
}

/// The name of a service.
pub fn is_dns1035_label(value: &str) -> Vec<String> {
    let mut errors = too_long(value, LABEL_LENGTH_MAX);
    if !matches_label(value) || !value.starts_with(|c: char| c.is_ascii_lowercase()) {
        let rule = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
                    alphabetic character, and end with an alphanumeric character";
        errors.push(regex_error(rule, DNS1035_LABEL, &["my-name", "abc-123"]));
    }
    errors
}

/// The key of a label, annotation or taint: `name` or `example.com/name`.
pub fn is_qualified_name(value: &str) -> Vec<String> {
    let rule = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                alphanumeric character";
    let examples = ["MyName", "my.name", "123-abc"];
    let mut errors = Vec::new();
    let name = match value.split('/').collect::<Vec<_>>().as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                errors
                    .extend(is_dns1123_subdomain(prefix).iter().map(|error| format!("prefix part {error}")));
            }
            *name
        }
        _ => {
            let error = regex_error(rule, QUALIFIED_NAME, &examples);
            return vec![format!(
                "a qualified name {error} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    }
    errors.extend(too_long(name, LABEL_LENGTH_MAX).iter().map(|error| format!("name part {error}")));
    if !matches_name(name) {
        errors.push(format!("name part {}", regex_error(rule, QUALIFIED_NAME, &examples)));
    }
    errors
}

/// The value of a label.
pub fn is_valid_label_value(value: &str) -> Vec<String> {
    let mut errors = too_long(value, LABEL_LENGTH_MAX);
    if !value.is_empty() && !matches_name(value) {
        let rule = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
                    '.', and must start and end with an alphanumeric character";
        errors.push(regex_error(rule, LABEL_VALUE, &["MyValue", "my_value", "12345"]));
    }
    errors
}

/// A key of a ConfigMap's or a Secret's data.
pub fn is_config_map_key(value: &str) -> Vec<String> {
    let mut errors = too_long(value, SUBDOMAIN_LENGTH_MAX);
    if value.is_empty() || !value.bytes().all(is_key_byte) {
        let rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        errors.push(regex_error(rule, CONFIG_MAP_KEY, &["key.name", "KEY_NAME", "key-name"]));
    }
    errors.extend(walks_up(value));
    errors
}

/// The name of a container's environment variable.
pub fn is_env_var_name(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let starts_well = value.starts_with(|c: char| !c.is_ascii_digit());
    if !starts_well || !value.bytes().all(is_key_byte) {
        let rule = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', \
                    or '.', and must not start with a digit";
        errors.push(regex_error(rule, ENV_VAR_NAME, &["my.env-name", "MY_ENV.NAME", "MyEnvName1"]));
    }
    errors.extend(walks_up(value));
    errors
}

/// A port's number.
pub fn is_valid_port_num(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) { Vec::new() } else { vec![inclusive_range_error(1, 65535)] }
}

/// A port's IANA service name.
pub fn is_valid_port_name(port: &str) -> Vec<String> {
    let mut errors = too_long(port, 15);
    if port.is_empty() || !port.bytes().all(is_label_byte) {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !port.bytes().any(|byte| byte.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if port.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if port.starts_with('-') || port.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

/// Names that are only required to be a segment of a path, such as those of roles.
pub fn is_path_segment_name(name: &str) -> Vec<String> {
    if matches!(name, "." | "..") {
        return vec![format!("may not be '{name}'")];
    }
    let marks = ["/", "%"].into_iter().filter(|mark| name.contains(mark));
    marks.map(|mark| format!("may not contain '{mark}'")).collect()
}

/// What is said of a number outside its range.
pub fn inclusive_range_error(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

fn too_long(value: &str, length_max: usize) -> Vec<String> {
    let error = || format!("must be no more than {length_max} characters");
    if value.len() > length_max { vec![error()] } else { Vec::new() }
}

fn regex_error(rule: &str, regex: &str, examples: &[&str]) -> String {
    let examples = examples.iter().map(|example| format!("'{example}', ")).collect::<Vec<_>>().join(" or ");
    format!("{rule} (e.g. {examples}regex used for validation is '{regex}')")
}

fn walks_up(value: &str) -> Option<String> {
    match value {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        _ if value.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    }
}

fn matches_label(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(is_label_byte) && !value.starts_with('-') && !value.ends_with('-')
}

fn matches_subdomain(value: &str) -> bool {
    value.split('.').all(matches_label)
}

fn matches_name(value: &str) -> bool {
    let (first, last) = (value.as_bytes().first(), value.as_bytes().last());
    value.bytes().all(is_key_byte)
        && first.is_some_and(u8::is_ascii_alphanumeric)
        && last.is_some_and(u8::is_ascii_alphanumeric)
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: std::net::IpAddr,
    bits: u8,
}

/// Reads `10.9.8.0/24`; leading zeros of numbers are not allowed.
pub fn cidr(text: &str) -> Option<Cidr> {
    let (address, bits) = text.split_once('/')?;
    let address: std::net::IpAddr = address.parse().ok()?;
    let bits: u8 = bits.parse().ok().filter(|_| bits.bytes().all(|byte| byte.is_ascii_digit()))?;
    (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(Cidr { address, bits })
}

impl Cidr {
    /// Whether all of its addresses, which are fewer, are the other's, too.
    pub fn is_strictly_within(&self, other: &Cidr) -> bool {
        let number = |cidr: &Cidr| match cidr.address {
            std::net::IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
            std::net::IpAddr::V6(address) => address.to_bits(),
        };
        let shift = 128 - u32::from(other.bits);
        let start = |cidr: &Cidr| number(cidr).checked_shr(shift).unwrap_or_default();
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.bits > other.bits
            && start(self) == start(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&str) -> Vec<String>, value: &str, expected: &[&str]) {
        let errors = rule(value);
        assert_eq!(errors.len(), expected.len(), "{value:?}: {errors:?}");
        for (error, start) in errors.iter().zip(expected) {
            assert!(error.starts_with(start), "{value:?}: {error}");
        }
    }

    #[test]
    fn labels_and_subdomains_are_told_apart() {
        check(is_dns1123_label, "my-name", &[]);
        check(is_dns1123_label, "0", &[]);
        check(is_dns1123_label, "a.b", &["must not contain dots"]);
        check(is_dns1123_label, "A", &["a lowercase RFC 1123 label must consist of"]);
        check(is_dns1123_label, "", &["a lowercase RFC 1123 label must consist of"]);
        check(is_dns1123_label, &"a".repeat(64), &["must be no more than 63 characters"]);
        check(is_dns1123_subdomain, "a.b-c.d0", &[]);
        check(is_dns1123_subdomain, "a..b", &["a lowercase RFC 1123 subdomain must consist of"]);
        check(is_dns1123_subdomain, "web_1", &["a lowercase RFC 1123 subdomain must consist of"]);
        check(is_dns1035_label, "web", &[]);
        check(is_dns1035_label, "1web", &["a DNS-1035 label must consist of"]);
    }

    #[test]
    fn a_broken_rule_is_told_in_upstreams_words() {
        assert_eq!(
            is_dns1123_subdomain("Web"),
            [
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
              and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
              validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert_eq!(
            is_valid_label_value("a b"),
            [
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
              must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
              regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            ]
        );
    }

    #[test]
    fn qualified_names_have_at_most_one_prefix() {
        check(is_qualified_name, "app", &[]);
        check(is_qualified_name, "app.kubernetes.io/name", &[]);
        check(is_qualified_name, "/name", &["prefix part must be non-empty"]);
        check(is_qualified_name, "a/", &["name part must be non-empty", "name part must consist of"]);
        check(is_qualified_name, "A.io/x", &["prefix part a lowercase RFC 1123 subdomain"]);
        check(is_qualified_name, "a/b/c", &["a qualified name must consist of"]);
        check(is_qualified_name, "-a", &["name part must consist of"]);
    }

    #[test]
    fn keys_names_and_ports_follow_their_rules() {
        check(is_valid_label_value, "", &[]);
        check(is_valid_label_value, "v1.2_3", &[]);
        check(is_config_map_key, "nginx.conf", &[]);
        check(is_config_map_key, "..", &["must not be '..'"]);
        check(is_config_map_key, "a/b", &["a valid config key must consist of"]);
        check(is_env_var_name, "MY_ENV", &[]);
        check(is_env_var_name, "1X", &["a valid environment variable name must consist of"]);
        check(is_valid_port_name, "http", &[]);
        check(is_valid_port_name, "80", &["must contain at least one letter (a-z)"]);
        check(is_valid_port_name, "a--b", &["must not contain consecutive hyphens"]);
        assert_eq!(is_valid_port_num(0), ["must be between 1 and 65535, inclusive"]);
        assert_eq!(is_valid_port_num(80), [""; 0]);
    }

    #[test]
    fn blocks_of_addresses_stand_within_each_other() {
        let within =
            |inner: &str, outer: &str| cidr(inner).unwrap().is_strictly_within(&cidr(outer).unwrap());
        assert!(within("10.1.2.0/24", "10.0.0.0/8") && within("10.0.0.0/8", "0.0.0.0/0"));
        assert!(within("fd00::/64", "fd00::/8"));
        assert!(!within("10.0.0.0/8", "10.0.0.0/8") && !within("11.0.0.0/16", "10.0.0.0/8"));
        assert!(!within("fd00::/64", "0.0.0.0/0"));
        for text in ["", "10.0.0.0", "10.0.0.0/33", "1.2.3/8", "10.0.0.0/+8", "fd00::/129", "x/8"] {
            assert_eq!(cidr(text), None, "{text}");
        }
    }
}
