//! The tokens that stand for a password once it was checked. Counterpart of `auth/simple_token.go`: they live
//! in memory, five minutes from their last use.

use std::collections::BTreeMap;
use std::time::Duration;

/// `--auth-token-ttl`.
const TTL: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// Whose it is, and until when. Times are since the world began.
    given: BTreeMap<String, (String, Duration)>,
}

impl Tokens {
    pub fn give(&mut self, token: String, user: String, now: Duration) {
        self.given.retain(|_, (_, until)| *until > now);
        self.given.insert(token, (user, now + TTL));
    }

    /// Whose a token is. Its time begins anew.
    pub fn user_of(&mut self, token: &str, now: Duration) -> Option<String> {
        let (user, until) = self.given.get_mut(token)?;
        if *until <= now {
            return None;
        }
        *until = now + TTL;
        Some(user.clone())
    }

    pub fn forget_user(&mut self, user: &str) {
        self.given.retain(|_, (of, _)| of != user);
    }

    pub fn forget_all(&mut self) {
        self.given.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_five_minutes_from_its_last_use() {
        let at = Duration::from_secs;
        let mut tokens = Tokens::default();
        tokens.give("t".to_owned(), "u1".to_owned(), at(0));
        assert_eq!(tokens.user_of("t", at(299)).as_deref(), Some("u1"));
        assert_eq!(tokens.user_of("t", at(598)).as_deref(), Some("u1"));
        assert_eq!(tokens.user_of("t", at(900)), None);
        assert_eq!(tokens.user_of("x", at(1)), None);
    }
}
