//! Slips of the fingers: what somebody meant who typed something that is not there.

/// The one of these names that was meant, if one is near enough.
pub(crate) fn meant<'a>(typed: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let plain = |name: &str| name.replace(['-', '_'], "").to_ascii_lowercase();
    let same = names.clone().into_iter().find(|own| plain(own) == plain(typed));
    same.or_else(|| names.into_iter().find(|own| is_a_slip(typed, own)))
}

/// Whether one is the other with a letter too few, too many, wrong, or two in the wrong order.
fn is_a_slip(typed: &str, meant: &str) -> bool {
    let start = typed.bytes().zip(meant.bytes()).take_while(|(one, other)| one == other).count();
    let rest = |text: &str| text.bytes().skip(start).collect::<Vec<_>>();
    let (mut typed, mut meant) = (rest(typed), rest(meant));
    while typed.last().is_some_and(|last| meant.last() == Some(last)) {
        typed.pop();
        meant.pop();
    }
    match (&typed[..], &meant[..]) {
        ([a, b], [c, d]) => (a, b) == (d, c),
        (typed, meant) => typed.len() <= 1 && meant.len() <= 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_one_key_is_seen_and_another_name_is_none() {
        for typed in ["atuo", "aut", "autoo", "auti", "uato", "xauto", "auto"] {
            assert!(is_a_slip(typed, "auto"), "{typed}");
        }
        for typed in ["", "work", "ouat", "autoxx", "au", "oatu"] {
            assert!(!is_a_slip(typed, "auto"), "{typed}");
        }
    }

    #[test]
    fn how_words_are_joined_is_no_difference() {
        let names = ["issuer", "client_id", "api", "apis", "git_username"];
        for (typed, expected) in [
            ("clientid", Some("client_id")),
            ("clientId", Some("client_id")),
            ("Git-UserName", Some("git_username")),
            ("isuer", Some("issuer")),
            ("apis", Some("apis")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(meant(typed, names), expected, "{typed}");
        }
    }
}
