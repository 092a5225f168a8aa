//! The body of a request: small ones in memory, so that they can be sent twice; large ones as a stream.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use futures_util::stream::unfold;
use jeton::Url;
use jeton::reqwest::Body;
use serde_json::Value;
use tokio::sync::mpsc;

use super::Args;
use crate::failure::Failure;

/// Bodies up to this size are held in memory.
const HELD: u64 = 1024 * 1024;
/// A stream is read in pieces of that size, and a few of them are ready at a time.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 4;

/// What is sent.
pub(super) enum Upload {
    Nothing,
    Held {
        bytes: Vec<u8>,
        media_type: Option<&'static str>,
    },
    /// A large file, opened anew for each sending.
    File {
        path: PathBuf,
        length: u64,
    },
    /// Something that is read once.
    Once(Mutex<Option<Box<dyn Read + Send>>>),
}

impl Upload {
    /// Reads what is small, and looks what the rest is.
    pub(super) fn of(args: &Args) -> Result<Self, Failure> {
        if !args.form.is_empty() {
            let mut form = Url::parse("form:").map_err(|error| Failure::usage(error.to_string()))?;
            form.query_pairs_mut().extend_pairs(&args.form);
            let bytes = form.query().unwrap_or_default().as_bytes().to_vec();
            return Ok(Self::Held { bytes, media_type: Some("application/x-www-form-urlencoded") });
        }
        let Some(data) = &args.data else { return Ok(Self::Nothing) };
        match data.strip_prefix('@') {
            Some("-") => Self::once(Box::new(io::stdin()), "standard input"),
            Some(path) => Self::of_file(Path::new(path)),
            None => Self::of_text(data, super::has_content_type(args)),
        }
    }

    fn of_text(text: &str, type_is_given: bool) -> Result<Self, Failure> {
        let bytes = text.as_bytes().to_vec();
        match (is_json(&bytes), type_is_given) {
            (true, _) => Ok(Self::Held { bytes, media_type: Some("application/json") }),
            (false, true) => Ok(Self::Held { bytes, media_type: None }),
            (false, false) => Err(Failure::usage("the body is no JSON, and its type is not given")
                .because("an API that takes it for something else is hard to understand")
                .help("--form NAME=VALUE for a form, or -H 'Content-Type: text/plain' for what it is")),
        }
    }

    fn of_file(path: &Path) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let file = File::open(path).map_err(|error| unreadable(&shown, &error))?;
        let metadata = file.metadata().map_err(|error| unreadable(&shown, &error))?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!("{shown} is a folder")));
        }
        match metadata.is_file() && metadata.len() > HELD {
            true => Ok(Self::File { path: path.to_owned(), length: metadata.len() }),
            false => Self::once(Box::new(file), &shown),
        }
    }

    /// What may turn out to be small.
    fn once(mut reader: Box<dyn Read + Send>, shown: &str) -> Result<Self, Failure> {
        let mut bytes = Vec::new();
        let beginning = reader.by_ref().take(HELD + 1).read_to_end(&mut bytes);
        beginning.map_err(|error| unreadable(shown, &error))?;
        if bytes.len() as u64 <= HELD {
            let media_type = if is_json(&bytes) { "application/json" } else { "application/octet-stream" };
            return Ok(Self::Held { bytes, media_type: Some(media_type) });
        }
        Ok(Self::Once(Mutex::new(Some(Box::new(Cursor::new(bytes).chain(reader))))))
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Self::File { .. } | Self::Once(_))
    }

    pub(super) fn can_be_read_anew(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// What it is sent as unless the person says otherwise.
    pub(super) fn media_type(&self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Held { media_type, .. } => *media_type,
            Self::File { path, .. } if path.extension().is_some_and(|it| it.eq_ignore_ascii_case("json")) => {
                Some("application/json")
            }
            Self::File { .. } | Self::Once(_) => Some("application/octet-stream"),
        }
    }

    /// The length of a stream, where it is known.
    pub(super) fn stream_length(&self) -> Option<u64> {
        match self {
            Self::File { length, .. } => Some(*length),
            _ => None,
        }
    }

    /// The body for one sending.
    pub(super) fn body(&self) -> Result<Option<Body>, Failure> {
        Ok(match self {
            Self::Nothing => None,
            Self::Held { bytes, .. } => Some(Body::from(bytes.clone())),
            Self::File { path, length } => {
                let file =
                    File::open(path).map_err(|error| unreadable(&path.display().to_string(), &error))?;
                Some(streamed(file.take(*length)))
            }
            Self::Once(reader) => {
                let reader = reader.lock().ok().and_then(|mut reader| reader.take());
                reader.map(streamed)
            }
        })
    }
}

/// Only objects and arrays are taken for JSON: `42` may be anything.
fn is_json(bytes: &[u8]) -> bool {
    matches!(serde_json::from_slice(bytes), Ok(Value::Object(_) | Value::Array(_)))
}

/// Reads on a thread of its own, which nobody waits for: standard input may never end.
fn streamed(mut reader: impl Read + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel::<io::Result<Vec<u8>>>(PIECES);
    thread::spawn(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let read = match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => {
                    piece.truncate(length);
                    Ok(piece)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            if sender.blocking_send(read).is_err() || failed {
                break;
            }
        }
    });
    Body::wrap_stream(unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }))
}

fn unreadable(place: &str, error: &io::Error) -> Failure {
    Failure::usage(format!("{place} cannot be read; nothing was sent"))
        .because(error.to_string())
        .help("name a file that is there and that you may read, as -d @FILE, or @- for standard input")
}
