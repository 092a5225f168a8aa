//! Reads the prototypes of `include/jeton.h` and writes, for each, a C function that calls it with sound arguments, with one of
//! them NULL, with one that is no UTF-8, or with a panic inside. A function that is new in the header is in the sweep by itself;
//! one with an argument of a new kind stops the build here.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::outcome::Stop;

/// A function of the header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prototype {
    pub(super) name: String,
    returns: String,
    parameters: Vec<Parameter>,
}

#[derive(Debug, PartialEq, Eq)]
struct Parameter {
    kind: String,
    name: String,
}

/// What a parameter is to the sweep.
enum Role {
    /// A handle or a struct that is lent; its C expression.
    Lent(String),
    /// `const char *`.
    Text,
    /// `const uint8_t *`, and its length behind it.
    Bytes,
    /// A number.
    Number,
    /// `jeton_error **`, the last one.
    Error,
    /// `jeton_xxx **`: a handle that is given; its name without prefix.
    Given(String),
    /// `T *` for a plain value; its type.
    Filled(&'static str),
    /// A function of ours, or NULL.
    Callback(&'static str),
    /// `void *`: ours alone.
    Userdata,
}

/// The prototypes of a header, in their order.
pub(super) fn prototypes(header: &str) -> Vec<Prototype> {
    let code = without_comments(header);
    let code: String =
        code.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join(" ");
    code.split([';', '{', '}']).filter_map(prototype).collect()
}

fn without_comments(header: &str) -> String {
    let mut code = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    code.push_str(rest);
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn prototype(statement: &str) -> Option<Prototype> {
    let statement = statement.trim();
    let (head, tail) = statement.split_once('(')?;
    let parameters = tail.strip_suffix(')')?;
    let Parameter { kind: returns, name } = parameter(head)?;
    if !name.starts_with("jeton_") || returns.starts_with("typedef") || returns.is_empty() {
        return None;
    }
    let mut list = Vec::new();
    if parameters.trim() != "void" {
        for text in split_at_commas(parameters) {
            list.push(parameter(&text)?);
        }
    }
    Some(Prototype { name, returns, parameters: list })
}

/// Splits where no parenthesis is open: a function pointer has commas of its own.
fn split_at_commas(parameters: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_u32;
    for letter in parameters.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts
}

/// `const jeton_error *error`, as type and name, with single spaces.
fn parameter(text: &str) -> Option<Parameter> {
    if let Some((_, name)) = text.split_once("(*") {
        let name = name.split(')').next()?.trim().to_owned();
        return Some(Parameter { kind: "function".to_owned(), name });
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = text.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
    let (kind, name) = text.split_at(end);
    Some(Parameter { kind: kind.trim().to_owned(), name: name.to_owned() })
}

impl Parameter {
    fn role(&self, function: &str) -> Result<Role, Stop> {
        let handle = |kind: &str| {
            let kind = kind.strip_prefix("const ").unwrap_or(kind);
            kind.strip_prefix("jeton_").and_then(|kind| kind.strip_suffix(" *")).map(str::to_owned)
        };
        Ok(match self.kind.as_str() {
            "const char *" => Role::Text,
            "const uint8_t *" => Role::Bytes,
            "int32_t" | "uint32_t" | "int64_t" | "size_t" => Role::Number,
            "jeton_error **" if self.name == "error" => Role::Error,
            "size_t *" => Role::Filled("size_t"),
            "int32_t *" => Role::Filled("int32_t"),
            "void *" => Role::Userdata,
            "function" => Role::Callback("sweep_destroy"),
            "jeton_log_callback" => Role::Callback("sweep_log"),
            "jeton_event_callback" => Role::Callback("sweep_event"),
            kind => match kind.strip_suffix("**").map(|kind| format!("{kind}*")) {
                Some(given) => handle(&given).map(Role::Given),
                None => handle(kind).map(|name| Role::Lent(format!("fixtures.{name}"))),
            }
            .ok_or_else(|| {
                Stop::failed(format!(
                    "{function}: the sweep of the C ABI does not know what to pass for `{kind} {}`: teach it in {}",
                    self.name,
                    file!()
                ))
            })?,
        })
    }
}

/// The C source of the sweep: to be included by `ffi/tests/c/sweep.c`.
pub(super) fn source(header: &str) -> Result<String, Stop> {
    let prototypes = prototypes(header);
    let names: BTreeSet<&str> = prototypes.iter().map(|prototype| prototype.name.as_str()).collect();
    let mut out = String::from("/* Written by xtask from include/jeton.h. */\n");
    for prototype in &prototypes {
        out.push_str(&one(prototype, &names)?);
    }
    out.push_str("\nstatic const struct swept SWEPT[] = {\n");
    for Prototype { name, parameters, .. } in &prototypes {
        let mut shown = Vec::new();
        for parameter in parameters {
            let letter = match parameter.role(name)? {
                Role::Text => 't',
                Role::Number | Role::Userdata => '-',
                Role::Error => 'e',
                Role::Lent(_) | Role::Bytes | Role::Given(_) | Role::Filled(_) | Role::Callback(_) => 'p',
            };
            shown.push(format!("{{'{letter}', \"{}\"}}", parameter.name));
        }
        shown.push("{0, NULL}".to_owned());
        let _ = writeln!(out, "  {{\"{name}\", sweep_{name}, {{{}}}}},", shown.join(", "));
    }
    out.push_str("};\n\nstatic const struct option OPTIONS[] = {\n");
    for (option, _) in constants(header, "JETON_OPTION_") {
        let _ = writeln!(out, "  {{{option}, \"{option}\"}},");
    }
    out.push_str("};\n");
    Ok(out)
}

/// The `#define`s of numbers with that prefix.
fn constants<'a>(header: &'a str, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    header.lines().filter_map(move |line| {
        let mut words = line.strip_prefix("#define ")?.split_whitespace();
        let name = words.next().filter(|name| name.starts_with(prefix))?;
        Some((name, words.next()?))
    })
}

fn one(prototype: &Prototype, names: &BTreeSet<&str>) -> Result<String, Stop> {
    let Prototype { name, returns, parameters } = prototype;
    let (mut before, mut after, mut arguments) = (String::new(), String::new(), Vec::new());
    let (mut fallible, mut gives) = (false, false);
    // What a fallible function gives has to be NULL unless it succeeds.
    for (at, parameter) in parameters.iter().enumerate() {
        let Parameter { name: argument, .. } = parameter;
        arguments.push(match parameter.role(name)? {
            // A fixture would be gone after that.
            Role::Lent(_) if name.ends_with("_free") => "NULL".to_owned(),
            Role::Lent(fixture) => format!("NULLED({at}) ? NULL : {fixture}"),
            Role::Text => format!("sweep_text(mode, at == {at}, \"{name}\", \"{argument}\")"),
            Role::Bytes => format!("NULLED({at}) ? NULL : (const uint8_t *)sweep_bytes"),
            Role::Number => format!("sweep_number(\"{name}\", \"{argument}\")"),
            Role::Userdata => "NULL".to_owned(),
            Role::Callback(callback) => format!("NULLED({at}) ? NULL : {callback}"),
            Role::Error => {
                fallible = true;
                before.push_str("  jeton_error *error = (jeton_error *)POISON;\n");
                format!("NULLED({at}) ? NULL : &error")
            }
            Role::Filled(kind) => {
                let _ = writeln!(before, "  {kind} out{at} = 0;");
                format!("NULLED({at}) ? NULL : &out{at}")
            }
            Role::Given(kind) => {
                gives = true;
                let free = format!("jeton_{kind}_free");
                if !names.contains(free.as_str()) {
                    return Err(Stop::failed(format!("{name} gives a jeton_{kind}, and there is no {free}")));
                }
                let _ = writeln!(before, "  jeton_{kind} *out{at} = (jeton_{kind} *)POISON;");
                // An error beside the error: of something that failed while the call succeeded.
                let check = if kind == "error" { "sweep_side_error" } else { "sweep_given" };
                let _ = writeln!(after, "  if (!NULLED({at})) {{ {check}(got, out{at}); {free}(out{at}); }}");
                format!("NULLED({at}) ? NULL : &out{at}")
            }
        });
    }
    let call = format!("{name}({})", arguments.join(",\n      "));
    let error_at = parameters.len().wrapping_sub(1);
    let body = match returns.as_str() {
        "int32_t" if fallible => format!(
            "  int32_t got = {call};\n{after}  sweep_status(at, mode, got, NULLED({error_at}) ? NULL : &error);\n"
        ),
        "int32_t" if gives => {
            format!("  int32_t got = {call};\n{after}  sweep_status(at, mode, got, NULL);\n")
        }
        "int32_t" | "uint32_t" | "int64_t" | "size_t" => {
            format!("  sweep_value(mode, (int64_t){call});\n")
        }
        "const char *" => format!("  sweep_string({call});\n"),
        "const uint8_t *" => format!("  (void){call};\n"),
        "void" => format!("  {call};\n"),
        made => match made.strip_prefix("jeton_").and_then(|made| made.strip_suffix(" *")) {
            Some(kind) => format!("  jeton_{kind}_free({call});\n"),
            None => {
                return Err(Stop::failed(format!(
                    "{name}: the sweep does not know what to do with a `{made}`"
                )));
            }
        },
    };
    Ok(format!(
        "\nstatic void sweep_{name}(int at, enum mode mode) {{\n{before}  (void)at;\n  sweep_begin(mode);\n{body}}}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "
#define JETON_OPTION_ISSUER 1
/* jeton_in_a_comment(void); */
typedef struct jeton_config jeton_config; // one thread
typedef struct jeton_store { int32_t (*load)(void *userdata, const char *key); } jeton_store;
typedef void (*jeton_log_callback)(void *userdata, int32_t level);
const char *jeton_version(void);
int32_t jeton_config_set_secret(jeton_config *config, int32_t option,
                                const uint8_t *value, size_t length, jeton_error **error);
int32_t jeton_set_log(int32_t max_level, void (*destroy)(void *userdata, int a), jeton_error **error);
jeton_config *jeton_config_new(void);
void jeton_config_free(jeton_config *config);
";

    #[test]
    fn every_prototype_and_nothing_else_is_read() {
        let read = prototypes(HEADER);
        let names: Vec<_> = read.iter().map(|prototype| prototype.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "jeton_version",
                "jeton_config_set_secret",
                "jeton_set_log",
                "jeton_config_new",
                "jeton_config_free"
            ]
        );
        let kinds: Vec<_> =
            read[1].parameters.iter().map(|it| (it.kind.as_str(), it.name.as_str())).collect();
        assert_eq!(
            kinds,
            [
                ("jeton_config *", "config"),
                ("int32_t", "option"),
                ("const uint8_t *", "value"),
                ("size_t", "length"),
                ("jeton_error **", "error")
            ]
        );
        assert_eq!(read[2].parameters[1], Parameter { kind: "function".into(), name: "destroy".into() });
        assert_eq!((read[0].returns.as_str(), read[0].parameters.len()), ("const char *", 0));
    }

    #[test]
    fn a_new_function_is_swept_and_a_new_kind_of_argument_stops_the_build() {
        let swept = source(HEADER).unwrap();
        assert!(swept.contains("{\"jeton_set_log\", sweep_jeton_set_log"), "{swept}");
        assert!(swept.contains("{JETON_OPTION_ISSUER, \"JETON_OPTION_ISSUER\"}"), "{swept}");
        let unknown = format!("{HEADER}void jeton_wait(const struct timespec *until);\n");
        let Err(Stop::Failed(why)) = source(&unknown) else { panic!("what would it pass?") };
        assert!(why.contains("struct timespec"), "{why}");
    }
}
