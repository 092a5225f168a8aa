//! A keychain of the benchmarks' own: a D-Bus daemon and gnome-keyring in a folder that is thrown away, so that the keychain
//! of whoever runs them is not touched.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// What programs need in their environment to find the keychain.
pub const ADDRESS_VARIABLE: &str = "DBUS_SESSION_BUS_ADDRESS";

/// A bus on which nothing is started by being asked for.
const BUS: &str = r#"<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// The two daemons. They end when this is dropped.
pub struct Keychain {
    keyring: Child,
    bus: Child,
    address: String,
    _folder: TempDir,
}

impl Keychain {
    /// Starts one. It is there a moment later.
    ///
    /// # Errors
    /// If a daemon is not installed.
    pub fn start() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("bus.conf");
        std::fs::write(&config, BUS)?;
        let mut bus = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--print-address"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut address = String::new();
        if let Some(stdout) = bus.stdout.take() {
            BufReader::new(stdout).read_line(&mut address)?;
        }
        let address = address.trim().to_owned();
        let mut keyring = Command::new("gnome-keyring-daemon");
        keyring
            .args(["--foreground", "--unlock", "--components=secrets"])
            .env(ADDRESS_VARIABLE, &address)
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        for variable in ["HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"] {
            keyring.env(variable, folder.path());
        }
        let started = keyring.spawn().and_then(|mut keyring| {
            // Its standard input closes: that is the end of the password.
            let written = keyring.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(b"bench"));
            written.map(|()| keyring)
        });
        match started {
            Ok(keyring) => Ok(Self { keyring, bus, address, _folder: folder }),
            Err(error) => {
                end(&mut bus);
                Err(error)
            }
        }
    }

    /// The value of [`ADDRESS_VARIABLE`].
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Keychain {
    fn drop(&mut self) {
        end(&mut self.keyring);
        end(&mut self.bus);
    }
}

/// There is nobody to tell if this fails.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
