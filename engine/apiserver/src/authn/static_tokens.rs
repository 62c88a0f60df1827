//! `--token-auth-file`: lines of token, user, uid and, quoted, groups. Counterpart:
//! `k8s.io/apiserver/pkg/authentication/token/tokenfile`.

use std::collections::BTreeMap;

use labkit_api::UserInfo;

/// Tokens that never change, with their users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StaticTokens(BTreeMap<String, UserInfo>);

impl StaticTokens {
    /// Reads the file's text. The error names the line.
    pub fn parse(text: &str) -> Result<StaticTokens, String> {
        let mut tokens = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = |why: &str| format!("line {}: {why}", index + 1);
            let fields = fields(line).ok_or_else(|| at("a quote is not closed"))?;
            let [token, name, uid, more @ ..] = fields.as_slice() else {
                let why = format!(
                    "a line has token, user name, uid and perhaps groups, found {} columns",
                    fields.len()
                );
                return Err(at(&why));
            };
            if token.is_empty() {
                return Err(at("the token is empty"));
            }
            let groups = more.first().map(String::as_str).unwrap_or_default();
            let groups: Vec<&str> =
                groups.split(',').map(str::trim).filter(|group| !group.is_empty()).collect();
            let user = UserInfo { uid: uid.clone(), ..UserInfo::new(name, &groups) };
            if tokens.insert(token.clone(), user).is_some() {
                return Err(at("this token stands there twice"));
            }
        }
        Ok(StaticTokens(tokens))
    }

    pub(crate) fn find(&self, token: &str) -> Option<&UserInfo> {
        self.0.get(token)
    }
}

/// The columns of a line of CSV; a quoted one may hold commas.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            letter => fields.last_mut().expect("there is one from the start").push(letter),
        }
    }
    (!quoted).then(|| fields.into_iter().map(|field| field.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_user() {
        let tokens = StaticTokens::parse("# users\nt1,ana,7,\"dev,ops\"\nt2, bo ,8\n").unwrap();
        let ana = tokens.find("t1").unwrap();
        assert_eq!(
            (ana.name.as_str(), ana.uid.as_str(), ana.groups.as_slice()),
            ("ana", "7", &["dev".to_owned(), "ops".to_owned()][..])
        );
        assert_eq!(tokens.find("t2").unwrap().name, "bo");
        assert_eq!(tokens.find("t3"), None);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, part) in [
            ("a,b", "line 1: a line has token"),
            ("a,b,c\na,d,e", "line 2: this token"),
            ("a,\"b,c", "line 1: a quote"),
            (",b,c", "line 1: the token is empty"),
        ] {
            let error = StaticTokens::parse(text).unwrap_err();
            assert!(error.starts_with(part), "{error}");
        }
    }
}
