//! `package.json`, as far as a build looks into it.

use serde_json::Value;

use crate::builders::Tree;
use crate::error::{Error, Result};

pub struct Package(Value);

impl Package {
    /// 422 for a file that is no JSON object.
    pub fn read(tree: &dyn Tree) -> Result<Package> {
        let text = tree.text("package.json")?.unwrap_or_default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let value: Value = serde_json::from_str(text).map_err(|cause| {
            Error::invalid(format!(
                "The package.json is not valid JSON (line {}, column {}). Mend it, then build again.",
                cause.line(),
                cause.column()
            ))
        })?;
        match value.is_object() {
            true => Ok(Package(value)),
            false => Err(Error::invalid(
                "The package.json is no JSON object. Mend it, then build again.",
            )),
        }
    }

    /// Whether there is such a script, and something in it.
    pub fn script(&self, name: &str) -> bool {
        let script = self.0.get("scripts").and_then(|scripts| scripts.get(name));
        script
            .and_then(Value::as_str)
            .is_some_and(|text| !text.trim().is_empty())
    }

    /// The versions of a program that the package says it runs with.
    pub fn engine(&self, program: &str) -> Option<String> {
        let range = self.0.get("engines")?.get(program)?.as_str()?.trim();
        (!range.is_empty()).then(|| range.to_owned())
    }

    /// The exact version of `packageManager`, if it names this one: `yarn@4.5.0+sha512.abc`.
    pub fn manager(&self, name: &str) -> Option<String> {
        let named = self.0.get("packageManager")?.as_str()?;
        let version = named.strip_prefix(name)?.strip_prefix('@')?;
        let version = version.split('+').next()?;
        let plain = version
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
        (plain && !version.is_empty()).then(|| version.to_owned())
    }

    /// Whether anything has to be installed.
    pub fn has_dependencies(&self) -> bool {
        let listed = self.0.get("dependencies").and_then(Value::as_object);
        listed.is_some_and(|listed| !listed.is_empty()) || self.has_dev_dependencies()
    }

    /// Whether anything is there for the build alone. What a workspace's packages have is not looked at, and may be.
    pub fn has_dev_dependencies(&self) -> bool {
        let listed = self.0.get("devDependencies").and_then(Value::as_object);
        listed.is_some_and(|listed| !listed.is_empty()) || self.0.get("workspaces").is_some()
    }
}
