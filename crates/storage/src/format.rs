//! Version 1 of the record format: the JSON that every later version reads. The crate's docs describe it; the
//! golden file in `tests/golden` holds it fast.

use std::io::Write;

use jeton_models::{ExtraMembers, Scope, Secret, TokenType, Warning, exposed, exposed_option, is_deceptive};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::record::{LoginRecord, LoginStatus, RecordError, RefreshHold};
use crate::{LoginKey, StoredToken, TokenTarget};

/// What the member `format` of a login says.
pub(crate) const FORMAT: &str = "jeton-login";
/// What it says in a login that a sealed store has encrypted.
pub(crate) const SEALED_FORMAT: &str = "jeton-sealed-login";
/// How every `format` of jeton begins, those of other kinds of record too.
pub(crate) const FAMILY: &str = "jeton-";
/// The version that is written, and the highest that is read.
const VERSION: u64 = 1;
/// How deep an extra member may nest. The JSON reader stops at 128, and the record around it takes a few: a
/// deeper one would make a record that nobody can read any more.
const MAX_DEPTH: usize = 100;
/// The members that a version which does not know them must not pass over, and that this one knows.
const CRITICAL: [&str; 2] = [DPOP_KEY, REGISTRATION];
const DPOP_KEY: &str = "dpop_key";
const REGISTRATION: &str = "registration";
/// Recorded with a token that lost an extra member to [`MAX_DEPTH`].
const TOO_DEEP: &str = "extra_member_too_deep";

/// What is looked at before anything else: is it ours, and may this version read it?
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u64,
    #[serde(default)]
    critical: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct RecordV1 {
    format: String,
    version: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    critical: Vec<String>,
    key: KeyV1,
    status: StatusV1,
    generation: u64,
    created_at_ms: u64,
    updated_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Scope>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "exposed_option")]
    refresh_token: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token_received_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_hold: Option<RefreshHoldV1>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "exposed_option")]
    dpop_key: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "exposed_option")]
    id_token: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "exposed_option")]
    registration: Option<Secret>,
    tokens: Vec<TokenV1>,
    #[serde(flatten)]
    unknown: ExtraMembers,
}

#[derive(Serialize, Deserialize)]
struct KeyV1 {
    issuer: String,
    client_id: String,
    account: String,
    #[serde(flatten)]
    unknown: ExtraMembers,
}

#[derive(Serialize, Deserialize)]
struct StatusV1 {
    state: String,
    /// Which they are depends on the state.
    #[serde(flatten)]
    members: ExtraMembers,
}

/// Short-lived: what a later version adds to it goes with it.
#[derive(Serialize, Deserialize)]
struct RefreshHoldV1 {
    since_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked_until_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spared_until_ms: Option<u64>,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct TokenV1 {
    #[serde(with = "exposed")]
    access_token: Secret,
    token_type: String,
    target: TargetV1,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    granted_scope: Option<Scope>,
    received_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
    #[serde(default, skip_serializing_if = "ExtraMembers::is_empty")]
    extra: ExtraMembers,
    #[serde(flatten)]
    unknown: ExtraMembers,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct TargetV1 {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Scope>,
    #[serde(flatten)]
    unknown: ExtraMembers,
}

/// A token that this version keeps but cannot use: its type is unknown, or its target has members that would make
/// it another token than the one that resource and scope name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ForeignToken(TokenV1);

/// Writes the record as JSON, in one buffer of the right size, so that no copy stays behind unwiped.
pub(crate) fn write(record: &LoginRecord) -> Zeroizing<Vec<u8>> {
    let wire = RecordV1::from(record);
    let mut counter = Counter(0);
    let counted = serde_json::to_writer(&mut counter, &wire);
    let mut json = Zeroizing::new(Vec::with_capacity(counter.0));
    let written = serde_json::to_writer(&mut *json, &wire);
    debug_assert!(
        counted.is_ok() && written.is_ok() && json.len() == counter.0,
        "strings, numbers and maps only"
    );
    json
}

/// Reads a record of any key.
pub(crate) fn read(json: &[u8]) -> Result<LoginRecord, RecordError> {
    let header: Header = parse(json)?;
    if header.format != FORMAT {
        return Err(match header.format.starts_with(FAMILY) {
            true => RecordError::NewerFormat {
                found: match header.format.as_str() {
                    SEALED_FORMAT => "it is encrypted, for a sealed store to open".to_owned(),
                    format => format!("format {:?} version {}", shown(format), header.version),
                },
            },
            false => damaged("its `format` is not that of a login"),
        });
    }
    if header.version > VERSION {
        return Err(RecordError::NewerFormat { found: format!("version {}", header.version) });
    }
    if header.version == 0 {
        return Err(damaged("its version is 0"));
    }
    if let Some(name) = header.critical.iter().find(|name| !CRITICAL.contains(&name.as_str())) {
        return Err(RecordError::NewerFormat { found: format!("`{}` must be understood", shown(name)) });
    }
    parse::<RecordV1>(json)?.try_into()
}

fn parse<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, RecordError> {
    if json.is_empty() {
        return Err(damaged("it is empty"));
    }
    serde_json::from_slice(json).map_err(|error| {
        let text = error.to_string();
        // The text of a data error may quote the value it stumbled over, which may be a token. These do not.
        let harmless = !error.is_data() || text.starts_with("missing field `");
        RecordError::Damaged {
            what: match harmless {
                true => text,
                false => format!("unexpected data at line {} column {}", error.line(), error.column()),
            },
        }
    })
}

fn damaged(what: &str) -> RecordError {
    RecordError::Damaged { what: what.to_owned() }
}

/// A name out of a file for an error message.
pub(crate) fn shown(name: &str) -> String {
    name.chars().filter(|c| !is_deceptive(*c)).take(60).collect()
}

impl From<&LoginRecord> for RecordV1 {
    fn from(record: &LoginRecord) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            critical: [(DPOP_KEY, &record.dpop_key), (REGISTRATION, &record.registration)]
                .into_iter()
                .filter(|(_, member)| member.is_some())
                .map(|(name, _)| name.to_owned())
                .collect(),
            key: KeyV1 {
                issuer: record.key.issuer().to_owned(),
                client_id: record.key.client_id().to_owned(),
                account: record.key.account().to_owned(),
                unknown: record.unknown_in_key.clone(),
            },
            status: StatusV1::new(&record.status, record.unknown_in_status.as_ref()),
            generation: record.generation,
            created_at_ms: record.created_at_ms,
            updated_at_ms: record.updated_at_ms,
            scope: record.scope.clone(),
            refresh_token: record.refresh_token.clone(),
            refresh_token_received_at_ms: record.refresh_token_received_at_ms,
            refresh_hold: record.refresh_hold.as_ref().map(|hold| RefreshHoldV1 {
                since_ms: hold.since_ms,
                asked_until_ms: hold.asked_until_ms,
                spared_until_ms: hold.spared_until_ms,
                reason: hold.reason.clone(),
            }),
            dpop_key: record.dpop_key.clone(),
            id_token: record.id_token.clone(),
            registration: record.registration.clone(),
            tokens: (record.tokens.iter().map(TokenV1::from))
                .chain(record.foreign_tokens.iter().map(|foreign| foreign.0.clone()))
                .collect(),
            unknown: record.unknown.clone(),
        }
    }
}

impl TryFrom<RecordV1> for LoginRecord {
    type Error = RecordError;

    fn try_from(wire: RecordV1) -> Result<Self, RecordError> {
        let key = LoginKey::from_parts(&wire.key.issuer, wire.key.client_id, wire.key.account)
            .map_err(|_| damaged("the issuer in its key is none"))?;
        if wire.dpop_key.is_none() && wire.critical.iter().any(|name| name == DPOP_KEY) {
            return Err(damaged("the key that its tokens are bound to (`dpop_key`) is gone"));
        }
        if wire.registration.is_none() && wire.critical.iter().any(|name| name == REGISTRATION) {
            return Err(damaged("the client that is registered (`registration`) is gone"));
        }
        let (status, unknown_in_status) = wire.status.into_status()?;
        let (mut tokens, mut foreign_tokens) = (Vec::new(), Vec::new());
        for token in wire.tokens {
            match StoredToken::try_from(token) {
                Ok(token) if tokens.iter().any(|own: &StoredToken| own.target == token.target) => {
                    return Err(damaged("two of its tokens have the same target"));
                }
                Ok(token) => tokens.push(token),
                Err(foreign) => foreign_tokens.push(foreign),
            }
        }
        Ok(Self {
            key,
            refresh_token: wire.refresh_token,
            refresh_token_received_at_ms: wire.refresh_token_received_at_ms,
            refresh_hold: wire.refresh_hold.map(|hold| RefreshHold {
                since_ms: hold.since_ms,
                asked_until_ms: hold.asked_until_ms,
                spared_until_ms: hold.spared_until_ms,
                reason: hold.reason,
            }),
            dpop_key: wire.dpop_key,
            id_token: wire.id_token,
            registration: wire.registration,
            tokens,
            scope: wire.scope,
            status,
            generation: wire.generation,
            created_at_ms: wire.created_at_ms,
            updated_at_ms: wire.updated_at_ms,
            unknown: wire.unknown,
            unknown_in_key: wire.key.unknown,
            unknown_in_status,
            foreign_tokens,
        })
    }
}

impl StatusV1 {
    /// The members that this version does not know go with the state that they were read with.
    fn new(status: &LoginStatus, unknown: Option<&(String, ExtraMembers)>) -> Self {
        let state = match status {
            LoginStatus::Live => "live",
            LoginStatus::Ended { .. } => "ended",
            LoginStatus::Unknown { state } => state,
        };
        let unknown = unknown.filter(|(of_state, _)| of_state == state);
        let mut members = unknown.map(|(_, members)| members.clone()).unwrap_or_default();
        if let LoginStatus::Ended { reason, at_ms } = status {
            members.insert("reason", reason.as_str());
            members.insert("at_ms", *at_ms);
        }
        Self { state: state.to_owned(), members }
    }

    fn into_status(self) -> Result<(LoginStatus, Option<(String, ExtraMembers)>), RecordError> {
        let Self { state, members } = self;
        let mut members: Map<String, Value> =
            members.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let status = match state.as_str() {
            "live" => LoginStatus::Live,
            "ended" => match (members.remove("reason"), members.remove("at_ms").and_then(|ms| ms.as_u64())) {
                (Some(Value::String(reason)), Some(at_ms)) => LoginStatus::Ended { reason, at_ms },
                _ => return Err(damaged("its status lacks `reason` or `at_ms`")),
            },
            _ => LoginStatus::Unknown { state: state.clone() },
        };
        Ok((status, (!members.is_empty()).then(|| (state, members.into()))))
    }
}

impl From<&StoredToken> for TokenV1 {
    fn from(token: &StoredToken) -> Self {
        let mut warnings = token.warnings.clone();
        let mut extra = ExtraMembers::new();
        for (name, value) in token.extra.iter() {
            if is_within(value, MAX_DEPTH) {
                extra.insert(name, value.clone());
            } else if !warnings.iter().any(|warning| warning.code() == TOO_DEEP) {
                warnings.push(Warning::from_code(TOO_DEEP));
            }
        }
        Self {
            access_token: token.access_token.clone(),
            token_type: token.token_type.to_string(),
            target: TargetV1 {
                resource: token.target.resource.clone(),
                scope: token.target.scope.clone(),
                unknown: ExtraMembers::new(),
            },
            granted_scope: token.granted_scope.clone(),
            received_at_ms: token.received_at_ms,
            expires_at_ms: token.expires_at_ms,
            warnings,
            extra,
            unknown: token.unknown.clone(),
        }
    }
}

impl TryFrom<TokenV1> for StoredToken {
    type Error = ForeignToken;

    fn try_from(wire: TokenV1) -> Result<Self, ForeignToken> {
        // What is no access token (`N_A`) goes along with no request.
        let token_type = wire.token_type.parse().ok().filter(|own| *own != TokenType::NotApplicable);
        let Some(token_type) = token_type.filter(|_| wire.target.unknown.is_empty()) else {
            return Err(ForeignToken(wire));
        };
        Ok(Self {
            access_token: wire.access_token,
            token_type,
            target: TokenTarget { resource: wire.target.resource, scope: wire.target.scope },
            granted_scope: wire.granted_scope,
            received_at_ms: wire.received_at_ms,
            expires_at_ms: wire.expires_at_ms,
            warnings: wire.warnings,
            extra: wire.extra,
            unknown: wire.unknown,
        })
    }
}

/// Whether arrays and objects nest at most `depth` deep.
fn is_within(value: &Value, depth: usize) -> bool {
    match (value, depth.checked_sub(1)) {
        (Value::Array(items), Some(depth)) => items.iter().all(|item| is_within(item, depth)),
        (Value::Object(members), Some(depth)) => members.values().all(|member| is_within(member, depth)),
        (Value::Array(_) | Value::Object(_), None) => false,
        _ => true,
    }
}

/// Counts what is written to it.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
