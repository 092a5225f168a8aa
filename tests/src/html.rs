//! As much of HTML as it takes to fill in the forms of an authorization server: tags, attributes, entities.

/// A tag with its attributes; what stands between tags is `text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    /// In lower case, with a leading `/` if it closes.
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
    /// What follows it, up to the next tag, unescaped and trimmed.
    pub(crate) text: String,
}

impl Tag {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// The tags of a page, in order; scripts, styles and comments are left out.
pub(crate) fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let Some((mut tag, after)) = tag(rest) else { continue };
        rest = after;
        if matches!(tag.name.as_str(), "script" | "style") {
            let end = format!("</{}", tag.name);
            rest = rest.find(&end).map_or("", |end| &rest[end..]);
        }
        tag.text = unescape(rest.split('<').next().unwrap_or_default().trim());
        tags.push(tag);
    }
    tags
}

/// Reads a tag whose `<` was read, and gives what follows its `>`.
fn tag(text: &str) -> Option<(Tag, &str)> {
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(text.len());
    let name = text[..end].trim_end_matches('/').to_ascii_lowercase();
    if !name.trim_start_matches('/').starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let mut attributes = Vec::new();
    let mut rest = &text[end..];
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return None;
        }
        if let Some(after) = rest.strip_prefix('>') {
            return Some((Tag { name, attributes, text: String::new() }, after));
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace() || "=>/".contains(c)).unwrap_or(rest.len());
        // A stray `=` would never be consumed.
        let (attribute, after) = rest.split_at(end.max(1));
        let (value, after) = match after.trim_start().strip_prefix('=') {
            Some(after) => value(after.trim_start()),
            None => ("", after),
        };
        attributes.push((attribute.to_ascii_lowercase(), unescape(value)));
        rest = after;
    }
}

/// An attribute's value, quoted or not.
fn value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(text) = text.strip_prefix(quote) {
            return text.split_once(quote).unwrap_or((text, ""));
        }
    }
    text.split_at(text.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(text.len()))
}

/// Undoes the escapes that servers use: named ones of XML, and numbers.
pub(crate) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        plain.push_str(&rest[..start]);
        rest = &rest[start..];
        let character =
            rest.split_once(';').and_then(|(entity, after)| Some((entity_of(&entity[1..])?, after)));
        match character {
            Some((character, after)) => {
                plain.push(character);
                rest = after;
            }
            None => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain + rest
}

fn entity_of(name: &str) -> Option<char> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match name.strip_prefix('#')?.strip_prefix(['x', 'X']) {
            Some(digits) => number(digits, 16),
            None => number(&name[1..], 10),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_attributes_in_any_quotes_and_text() {
        let html = "<!-- <a> --><style>b > <i></style><FORM Action=\"/x?a=1&amp;b\" novalidate method=post>\
                    <input name='n' value=\"&#39;&quot;&#x3c;\"/>2 < 3<a href=/y>[ Cancel ]</a>";
        let tags = tags(html);
        let names: Vec<&str> = tags.iter().map(|tag| tag.name.as_str()).collect();
        assert_eq!(names, ["style", "/style", "form", "input", "a", "/a"]);
        assert_eq!(tags[2].attribute("action"), Some("/x?a=1&b"));
        assert_eq!(tags[2].attribute("novalidate"), Some(""));
        assert_eq!(tags[2].attribute("method"), Some("post"));
        assert_eq!(tags[3].attribute("value"), Some("'\"<"));
        assert_eq!((tags[4].attribute("href"), tags[4].text.as_str()), (Some("/y"), "[ Cancel ]"));
    }

    #[test]
    fn broken_pages_come_to_an_end() {
        for html in [
            "<",
            "<a",
            "<a href",
            "<a href=",
            "<a href=\"x",
            "<a =>",
            "<!-- ",
            "<script>",
            "&#x110000; &;",
            "&",
        ] {
            tags(html);
            unescape(html);
        }
        assert_eq!(unescape("a & b &unknown; &amp;amp;"), "a & b &unknown; &amp;");
    }
}
