//! What `cargo metadata` says about the workspace: its packages, their features, everybody's `rust-version`.

use std::path::PathBuf;

use serde_json::Value;

/// A package of the workspace or one that it depends on.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The oldest Rust that it says it builds with.
    pub(crate) rust_version: Option<String>,
    /// Its features without `default`, in alphabetical order.
    pub(crate) features: Vec<String>,
    /// Those that do nothing but switch on a feature of another crate.
    pub(crate) forwarding: Vec<String>,
    /// Its integration tests.
    pub(crate) tests: Vec<String>,
    /// Whether there is nothing in it for other crates.
    pub(crate) is_program: bool,
    pub(crate) is_member: bool,
    pub(crate) folder: PathBuf,
}

/// The parts of `cargo metadata` that xtask uses.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

impl Metadata {
    /// Reads the JSON of `cargo metadata --format-version 1`; `None` when it is not that.
    pub(crate) fn parse(json: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(json).ok()?;
        let members = json["workspace_members"].as_array()?;
        let packages = json["packages"].as_array()?;
        Some(Self {
            packages: packages
                .iter()
                .map(|package| Package::parse(package, members))
                .collect::<Option<Vec<_>>>()?,
            target_directory: json["target_directory"].as_str()?.into(),
        })
    }

    pub(crate) fn member(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.is_member && package.name == name)
    }

    /// The library crates, each of which must be worth having alone: those in the folder `crates`.
    pub(crate) fn libraries(&self) -> impl Iterator<Item = &Package> {
        self.crates().filter(|package| !package.is_program)
    }

    /// The programs in that folder.
    pub(crate) fn programs(&self) -> impl Iterator<Item = &Package> {
        self.crates().filter(|package| package.is_program)
    }

    /// All that is in that folder.
    pub(crate) fn crates(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| {
            package.is_member
                && package.folder.parent().and_then(|parent| parent.file_name()) == Some("crates".as_ref())
        })
    }

    /// Every feature of every crate but those in `without`, as one `--features` list for the workspace.
    pub(crate) fn all_features(&self, without: &[&str]) -> String {
        let features = self.crates().flat_map(|package| {
            let wanted = package.features.iter().filter(|feature| !without.contains(&feature.as_str()));
            wanted.map(|feature| format!("{}/{feature}", package.name))
        });
        features.collect::<Vec<_>>().join(",")
    }
}

impl Package {
    fn parse(package: &Value, members: &[Value]) -> Option<Self> {
        let manifest = PathBuf::from(package["manifest_path"].as_str()?);
        let told = package["features"].as_object()?;
        let mut features: Vec<String> = told.keys().filter(|name| *name != "default").cloned().collect();
        features.sort();
        let elsewhere = |item: &Value| item.as_str().is_some_and(|item| item.contains('/'));
        let forwards = |name: &&String| {
            told[*name].as_array().is_some_and(|items| !items.is_empty() && items.iter().all(elsewhere))
        };
        let forwarding = features.iter().filter(forwards).cloned().collect();
        let targets = package["targets"].as_array()?;
        let has = |kind: &str| targets.iter().any(|target| target["kind"][0] == kind);
        let tests = targets.iter().filter(|target| target["kind"][0] == "test");
        Some(Self {
            is_program: has("bin") && !has("lib"),
            name: package["name"].as_str()?.to_owned(),
            version: package["version"].as_str()?.to_owned(),
            rust_version: package["rust_version"].as_str().map(str::to_owned),
            features,
            forwarding,
            tests: tests.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect(),
            is_member: members.contains(&package["id"]),
            folder: manifest.parent()?.to_owned(),
        })
    }

    /// The feature arguments of every build that must work alone: as it comes, with no feature, and with
    /// each feature alone, but for those in `without`.
    pub(crate) fn feature_sets(&self, without: &[&str]) -> Vec<Vec<String>> {
        let none = "--no-default-features".to_owned();
        let mut sets = vec![vec![]];
        if !self.features.is_empty() {
            sets.push(vec![none.clone()]);
        }
        for feature in self.features.iter().filter(|feature| !without.contains(&feature.as_str())) {
            sets.push(vec![none.clone(), "--features".to_owned(), feature.clone()]);
        }
        sets
    }
}

/// Major, minor and patch of a `rust-version`; absent parts are 0.
pub(crate) fn rust_version(text: &str) -> Option<[u32; 3]> {
    let mut version = [0; 3];
    for (index, part) in text.split('.').enumerate() {
        *version.get_mut(index)? = part.parse().ok()?;
    }
    Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{
        "packages": [
            {"id": "a", "name": "jeton-client", "version": "0.1.0", "rust_version": "1.89",
             "manifest_path": "/x/crates/client/Cargo.toml",
             "features": {"default": ["rustls"], "rustls": ["reqwest/rustls"], "native-tls": [],
                          "json": ["reqwest/json", "dep:serde"]},
             "targets": [{"kind": ["lib"], "name": "client"}, {"kind": ["test"], "name": "terminal"}]},
            {"id": "b", "name": "jeton-models", "version": "0.1.0", "rust_version": "1.89",
             "manifest_path": "/x/crates/models/Cargo.toml", "features": {}, "targets": []},
            {"id": "p", "name": "jeton-cli", "version": "0.1.0", "rust_version": "1.89",
             "manifest_path": "/x/crates/cli/Cargo.toml", "features": {"default": ["devserver"], "devserver": []},
             "targets": [{"kind": ["bin"], "name": "jeton"}]},
            {"id": "t", "name": "xtask", "version": "0.1.0", "rust_version": "1.89",
             "manifest_path": "/x/xtask/Cargo.toml", "features": {"own": []}, "targets": []},
            {"id": "c", "name": "serde", "version": "1.0.0", "rust_version": null,
             "manifest_path": "/registry/crates/serde/Cargo.toml", "features": {"derive": []}, "targets": []}
        ],
        "workspace_members": ["a", "b", "p", "t"],
        "target_directory": "/x/target"
    }"#;

    #[test]
    fn libraries_are_the_members_below_crates() {
        let metadata = Metadata::parse(JSON).unwrap();
        let names: Vec<_> = metadata.libraries().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["jeton-client", "jeton-models"]);
        assert_eq!(
            metadata.programs().map(|package| package.name.as_str()).collect::<Vec<_>>(),
            ["jeton-cli"]
        );
        assert!(metadata.member("serde").is_none());
        assert!(metadata.member("xtask").is_some());
        assert_eq!(metadata.member("jeton-client").unwrap().tests, ["terminal"]);
    }

    #[test]
    fn each_feature_alone_and_none() {
        let metadata = Metadata::parse(JSON).unwrap();
        let sets = metadata.member("jeton-client").unwrap().feature_sets(&["native-tls"]);
        let lines: Vec<_> = sets.iter().map(|set| set.join(" ")).collect();
        assert_eq!(
            lines,
            [
                "",
                "--no-default-features",
                "--no-default-features --features json",
                "--no-default-features --features rustls"
            ]
        );
        assert_eq!(metadata.member("jeton-client").unwrap().forwarding, ["rustls"]);
        assert_eq!(metadata.member("jeton-models").unwrap().feature_sets(&[]), [Vec::<String>::new()]);
        assert_eq!(
            metadata.all_features(&["native-tls"]),
            "jeton-client/json,jeton-client/rustls,jeton-cli/devserver"
        );
    }

    #[test]
    fn rust_versions_are_compared_as_numbers() {
        assert!(rust_version("1.9").unwrap() < rust_version("1.89").unwrap());
        assert_eq!(rust_version("1.89").unwrap(), rust_version("1.89.0").unwrap());
        assert_eq!(rust_version("nightly"), None);
    }

    #[test]
    fn something_else_is_not_metadata() {
        assert!(Metadata::parse("{}").is_none());
        assert!(Metadata::parse("not JSON").is_none());
    }
}
