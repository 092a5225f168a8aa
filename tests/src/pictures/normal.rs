//! What is another text at each run, replaced by one that stays. Random values keep their lengths, so that lines break where they
//! broke.

/// The port that stands for whichever one was free.
const ANY_PORT: &str = "49152";

/// What is known of a recording.
pub(super) struct Known<'a> {
    /// The home folder, which is shown as `~`.
    pub(super) home: &'a str,
    /// The server's port, which stays.
    pub(super) port: u16,
}

/// The recording as it would have been on another day.
pub(super) fn normal(recorded: &str, known: &Known<'_>) -> String {
    let text = recorded.replace(known.home, "~");
    let text = each_value(&text, &["127.0.0.1:", "127.0.0.1%3A", "[::1]:"], |port| {
        let is_free_one = port.len() == 5
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && *port != known.port.to_string();
        is_free_one.then(|| ANY_PORT.to_owned())
    });
    let text =
        each_value(&text, &["state=", "code_challenge=", "nonce="], |value| Some(lasting(value.len())));
    // How long there is left, how long something took, and how much room there is.
    let text = each_number_before(&text, " left", "9:58");
    let text = each_number_before(&text, " ms", "2");
    each_number_before(&text, " MiB free", "48000")
}

/// Puts that in place of each number, or time of a clock, before these words.
fn each_number_before(text: &str, words: &str, number: &str) -> String {
    let pieces: Vec<&str> = text.split(words).collect();
    let Some((last, before)) = pieces.split_last() else { return String::new() };
    let replaced = before.iter().map(|piece| {
        let rest = piece.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == ':');
        let is_number = rest.len() < piece.len();
        format!("{rest}{}{words}", if is_number { number } else { &piece[rest.len()..] })
    });
    replaced.collect::<String>() + last
}

/// Puts another text in place of each word that follows one of these.
fn each_value(text: &str, names: &[&str], other: impl Fn(&str) -> Option<String>) -> String {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, name)) = names.iter().filter_map(|name| Some((rest.find(name)?, *name))).min() {
        let (before, value) = rest.split_at(at + name.len());
        let end = value
            .find(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '-' | '_'))
            .unwrap_or(value.len());
        done.push_str(before);
        done.push_str(&other(&value[..end]).unwrap_or_else(|| value[..end].to_owned()));
        rest = &value[end..];
    }
    done + rest
}

/// Letters that look like a random value, as many as are wanted, always the same.
fn lasting(length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut number: u32 = 20_261_123;
    let letter = |_| {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(LETTERS[(number >> 26) as usize])
    };
    (0..length).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_replaced_and_nothing_else() {
        let known = Known { home: "/tmp/home-1", port: 8750 };
        let recorded = "see /tmp/home-1/.config: http://127.0.0.1:8750/a?state=Xy_-9&r=http%3A%2F%2F127.0.0.1%3A40111%2Fcallback \
                        http://127.0.0.1:40111/callback, estate";
        let first = normal(recorded, &known);
        let again = normal(
            &recorded.replace("Xy_-9", "12345").replace("40111", "50222").replace("home-1", "home-2"),
            &Known { home: "/tmp/home-2", port: 8750 },
        );
        assert_eq!(first, again);
        assert!(first.starts_with("see ~/.config: http://127.0.0.1:8750/a?state="), "{first}");
        assert!(first.ends_with(
            "&r=http%3A%2F%2F127.0.0.1%3A49152%2Fcallback http://127.0.0.1:49152/callback, estate"
        ));
        assert_eq!(first.len(), recorded.len() - "/tmp/home-1".len() + 1);
        let times = normal("\r10:00 left, 9:59 left, nothing left; took 13 ms, items", &known);
        assert_eq!(times, "\r9:58 left, 9:58 left, nothing left; took 2 ms, items");
    }
}
