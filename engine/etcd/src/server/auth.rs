//! Passwords and tokens on their way in. What goes to the log is hashes and tokens, never a password.
//! Counterpart of the upper half of `auth/store.go`.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::{Rng, RngCore};
use ring::pbkdf2;

use super::Server;
use crate::admin::AuthRequest;
use crate::api::Answer;
use crate::auth::Asker;
use crate::error::EtcdError;
use crate::member::Member;
use crate::raft::Command;

const ROUNDS: NonZeroU32 = NonZeroU32::new(4096).expect("it is not 0");
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// Letters in a token, before the number (`defaultSimpleTokenLength`).
const TOKEN_LETTERS: usize = 16;

/// Whose a token is; `None` when nobody has to say.
pub(crate) fn asker(member: &Member, token: Option<&str>) -> Result<Option<Asker>, EtcdError> {
    let now = member.now();
    let mut state = member.locked();
    let auth = &state.store.admin.auth;
    let (enabled, auth_revision) = (auth.is_enabled(), auth.revision());
    let Some(token) = token.filter(|_| enabled) else { return Ok(None) };
    let user = state.tokens.user_of(token, now).ok_or(EtcdError::InvalidAuthToken)?;
    Ok(Some(Asker { user, auth_revision }))
}

impl Server {
    pub(super) async fn auth(&self, request: AuthRequest) -> Answer {
        let request = match request {
            AuthRequest::UserAdd { name, secret } => {
                AuthRequest::UserAdd { name, secret: secret.map(|password| self.hash(&password)) }
            }
            AuthRequest::UserChangePassword { name, secret } => {
                AuthRequest::UserChangePassword { name, secret: self.hash(&secret) }
            }
            AuthRequest::Authenticate { name, secret } => {
                // Who has just set a password logs in with it, at whatever member.
                self.linearize().await?;
                let hash = self.member.locked().store.admin.auth.hash_of(&name).map(str::to_owned)?;
                if !matches(&hash, &secret) {
                    return Err(EtcdError::AuthFailed);
                }
                AuthRequest::Authenticate { name, secret: self.token() }
            }
            request => request,
        };
        self.propose(Command::Auth(request)).await
    }

    fn hash(&self, password: &str) -> String {
        let mut salt = [0; SALT_BYTES];
        self.member.component.random(|rng| rng.fill_bytes(&mut salt));
        let mut hash = [0; HASH_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, &salt, password.as_bytes(), &mut hash);
        STANDARD.encode([&salt[..], &hash].concat())
    }

    fn token(&self) -> String {
        let letters: String = self.member.component.random(|rng| {
            (0..TOKEN_LETTERS).map(|_| char::from(rng.sample(rand::distributions::Alphanumeric))).collect()
        });
        format!("{letters}.{}", self.member.applied_index())
    }
}

fn matches(hash: &str, password: &str) -> bool {
    let Ok(hash) = STANDARD.decode(hash) else { return false };
    let Some((salt, hash)) = hash.split_at_checked(SALT_BYTES) else { return false };
    pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt, password.as_bytes(), hash).is_ok()
}
