//! Profiles out of TOML. An unknown key is a mistake that somebody wants to hear of: it is told with its line and the known
//! key that is most like it.

use http::{HeaderName, HeaderValue};
use jeton_grants::PkceDialect;
use jeton_models::{Parameters, Warning};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::nearest;
use crate::profile::{ENDPOINTS, ProfileBuilder, shortened};
use crate::{AuthenticationMethod, Placeholder, PlaceholderKind, Profile, ProfileError};

/// The longest text that is read. The built-in table is a tenth of it.
const MOST: usize = 256 * 1024;

/// The keys of a profile.
const KEYS: [&str; 34] = [
    "title",
    "about",
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "refresh_endpoint",
    "device_authorization_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "userinfo_endpoint",
    "end_session_endpoint",
    "jwks_uri",
    "client_authentication",
    "signed_secret_audience",
    "scope_separator",
    "granted_scope_separator",
    "request_format",
    "pkce",
    "authorization_fragment",
    "code_parameter",
    "keeps",
    "renames",
    "omits",
    "parameters",
    "headers",
    "placeholders",
    "tolerates",
    "members",
    "nested",
    "prefers_nested",
    "bearer_types",
    "zero_is_never",
    "error_members",
    "error_codes",
];

/// The kinds of requests that `omits` and `parameters` tell apart.
const KINDS: [&str; 4] = ["authorization", "token", "refresh", "device_authorization"];

/// The profiles of a TOML text, in the order of their names.
pub(crate) fn profiles(text: &str) -> Result<Vec<Profile>, ProfileError> {
    if text.len() > MOST {
        return Err(ProfileError::TooLong { most: MOST });
    }
    let tables = DeTable::parse(text).map_err(|error| ProfileError::Syntax {
        line: line(text, error.span().map_or(0, |span| span.start)),
        what: shortened(error.message()),
    })?;
    let mut profiles = Vec::new();
    for (name, value) in tables.get_ref().iter() {
        let reader = Reader { text, profile: shortened(name.get_ref()) };
        let DeValue::Table(table) = value.get_ref() else {
            let known = KEYS.contains(&name.get_ref().as_ref());
            let what = if known {
                "stands outside of a profile's table: begin with `[name]`"
            } else {
                "is no table"
            };
            return Err(ProfileError::Value {
                profile: "?".to_owned(),
                key: shortened(name.get_ref()),
                what: what.to_owned(),
                nearest: None,
            });
        };
        profiles.push(reader.profile(name.get_ref(), table)?);
    }
    Ok(profiles)
}

fn line(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

struct Reader<'a> {
    text: &'a str,
    profile: String,
}

type Entry<'a, 'i> = (&'a str, &'a Spanned<DeValue<'i>>);

impl Reader<'_> {
    fn profile(&self, name: &str, table: &DeTable<'_>) -> Result<Profile, ProfileError> {
        let mut builder = Profile::builder(name);
        for (key, value) in table.iter() {
            if !KEYS.contains(&key.get_ref().as_ref()) {
                return Err(self.unknown(key, "", &KEYS));
            }
            builder = self.key(builder, (key.get_ref(), value))?;
        }
        builder.build()
    }

    fn key(&self, builder: ProfileBuilder, entry: Entry<'_, '_>) -> Result<ProfileBuilder, ProfileError> {
        let (key, value) = entry;
        if let Some(endpoint) = ENDPOINTS.iter().find(|endpoint| **endpoint == key) {
            return Ok(builder.endpoint(endpoint, self.string(entry)?));
        }
        let mut builder = builder;
        let data = &mut builder.0;
        let (answers, requests) = (&mut data.answers, &mut data.requests);
        match key {
            "title" => data.title = self.string(entry)?,
            "about" => data.about = self.string(entry)?,
            "issuer" => data.issuer = Some(self.string(entry)?),
            "signed_secret_audience" => data.signed_secret_audience = Some(self.string(entry)?),
            "client_authentication" => {
                data.authentication = self.one_of(entry, &AuthenticationMethod::ALL)?
            }
            "placeholders" => {
                for (name, value) in self.table(entry)? {
                    data.placeholders.push(self.placeholder(name, value)?);
                }
            }

            "refresh_endpoint" => requests.refresh_endpoint = Some(self.string(entry)?),
            // Most providers that want commas send them, too.
            "scope_separator" => {
                requests.scope_separator = Some(self.character(entry)?);
                answers.scope_separator = answers.scope_separator.or(requests.scope_separator);
            }
            "request_format" => requests.json = self.one_of(entry, &[("form", false), ("json", true)])?,
            "pkce" => {
                let known = [
                    ("standard", PkceDialect::Standard),
                    ("hex", PkceDialect::Hex),
                    ("omitted", PkceDialect::Omitted),
                ];
                requests.pkce = self.one_of(entry, &known)?;
            }
            "authorization_fragment" => requests.authorization_fragment = Some(self.string(entry)?),
            "code_parameter" => requests.code_parameter = Some(self.string(entry)?),
            "keeps" => requests.kept = self.strings(entry)?,
            "renames" => requests.renamed = self.pairs(entry)?,
            "omits" => match value.get_ref() {
                DeValue::Array(_) => requests.omitted.all = self.strings(entry)?,
                _ => {
                    for entry in self.table_of_kinds(entry)? {
                        let names = self.strings(entry)?;
                        match entry.0 {
                            "authorization" => requests.omitted.authorization = names,
                            "token" => requests.omitted.token = names,
                            "refresh" => requests.omitted.refresh = names,
                            _ => requests.omitted.device_authorization = names,
                        }
                    }
                }
            },
            "parameters" => {
                for entry in self.table_of_kinds(entry)? {
                    let mut parameters = Parameters::new();
                    for (name, value) in self.pairs(entry)? {
                        parameters.set(name, value);
                    }
                    match entry.0 {
                        "authorization" => requests.extra.authorization = parameters,
                        "token" => requests.extra.token = parameters,
                        "refresh" => requests.extra.refresh = parameters,
                        _ => requests.extra.device_authorization = parameters,
                    }
                }
            }
            "headers" => {
                for (name, text) in self.pairs(entry)? {
                    let wrong = |what: &str| {
                        self.wrong(key, format!("has `{}`, which is no {what}", shortened(&name)))
                    };
                    let parsed: HeaderName = name.parse().map_err(|_| wrong("header's name"))?;
                    let text = HeaderValue::from_str(&text)
                        .map_err(|_| wrong("header with a value that can be sent"))?;
                    requests.headers.insert(parsed, text);
                }
            }

            "granted_scope_separator" => answers.scope_separator = Some(self.character(entry)?),
            "tolerates" => {
                answers.tolerated =
                    self.strings(entry)?.iter().map(|code| Warning::from_code(code)).collect();
            }
            "members" => answers.members = self.pairs(entry)?,
            "nested" => answers.nested = Some(self.string(entry)?),
            "prefers_nested" => answers.prefers_nested = self.flag(entry)?,
            "bearer_types" => answers.bearer_types = self.strings(entry)?,
            "zero_is_never" => answers.zero_is_never = self.flag(entry)?,
            "error_members" => answers.error_members = self.strings(entry)?,
            "error_codes" => answers.error_codes = self.pairs(entry)?,
            _ => return Err(self.wrong(key, "means nothing")),
        }
        Ok(builder)
    }

    fn placeholder(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<Placeholder, ProfileError> {
        let path = format!("placeholders.{}", shortened(name));
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.wrong(&path, "is no table"));
        };
        let mut placeholder = Placeholder::new(name, PlaceholderKind::Text, "");
        for (key, value) in table.iter() {
            let entry = (key.get_ref().as_ref(), value);
            match entry.0 {
                "kind" => placeholder.kind = self.one_of(entry, &PlaceholderKind::ALL)?,
                "about" => placeholder.about = self.string(entry)?,
                "example" => placeholder.example = self.string(entry)?,
                "default" => placeholder.default = Some(self.string(entry)?),
                "optional" => placeholder.optional = self.flag(entry)?,
                _ => {
                    let known = ["kind", "about", "example", "default", "optional"];
                    return Err(self.unknown(key, &format!("{path}."), &known));
                }
            }
        }
        Ok(placeholder)
    }

    fn unknown(&self, key: &Spanned<toml::de::DeString<'_>>, path: &str, known: &[&str]) -> ProfileError {
        let name = shortened(key.get_ref());
        ProfileError::UnknownKey {
            line: line(self.text, key.span().start),
            profile: self.profile.clone(),
            nearest: nearest(&name, known.iter().copied()),
            key: format!("{path}{name}"),
        }
    }

    fn wrong(&self, key: &str, what: impl Into<String>) -> ProfileError {
        ProfileError::Value {
            profile: self.profile.clone(),
            key: key.to_owned(),
            what: what.into(),
            nearest: None,
        }
    }

    fn string(&self, (key, value): Entry<'_, '_>) -> Result<String, ProfileError> {
        value.get_ref().as_str().map(str::to_owned).ok_or_else(|| self.wrong(key, "is not a string"))
    }

    fn flag(&self, (key, value): Entry<'_, '_>) -> Result<bool, ProfileError> {
        value.get_ref().as_bool().ok_or_else(|| self.wrong(key, "is neither true nor false"))
    }

    fn character(&self, entry: Entry<'_, '_>) -> Result<char, ProfileError> {
        let text = self.string(entry)?;
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => Ok(character),
            _ => Err(self.wrong(entry.0, "is not one character")),
        }
    }

    fn one_of<T: Copy>(&self, entry: Entry<'_, '_>, known: &[(&str, T)]) -> Result<T, ProfileError> {
        let text = self.string(entry)?;
        let found = known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
            let what = format!("is `{}`, which is none of {}", shortened(&text), names.join(", "));
            ProfileError::Value {
                profile: self.profile.clone(),
                key: entry.0.to_owned(),
                what,
                nearest: nearest(&text, known.iter().map(|(name, _)| *name)),
            }
        })
    }

    fn strings(&self, (key, value): Entry<'_, '_>) -> Result<Vec<String>, ProfileError> {
        let values =
            value.get_ref().as_array().ok_or_else(|| self.wrong(key, "is not an array of strings"))?;
        values.iter().map(|value| self.string((key, value))).collect()
    }

    fn table<'a, 'i>(&self, (key, value): Entry<'a, 'i>) -> Result<Vec<Entry<'a, 'i>>, ProfileError> {
        let table = value.get_ref().as_table().ok_or_else(|| self.wrong(key, "is not a table"))?;
        Ok(table.iter().map(|(name, value)| (name.get_ref().as_ref(), value)).collect())
    }

    fn pairs(&self, entry: Entry<'_, '_>) -> Result<Vec<(String, String)>, ProfileError> {
        let entries = self.table(entry)?;
        entries.into_iter().map(|(name, value)| Ok((name.to_owned(), self.string((name, value))?))).collect()
    }

    fn table_of_kinds<'a, 'i>(&self, entry: Entry<'a, 'i>) -> Result<Vec<Entry<'a, 'i>>, ProfileError> {
        let table = entry.1.get_ref().as_table();
        if let Some((key, _)) =
            table.and_then(|table| table.iter().find(|(key, _)| !KINDS.contains(&key.get_ref().as_ref())))
        {
            return Err(self.unknown(key, &format!("{}.", entry.0), &KINDS));
        }
        self.table(entry)
    }
}
