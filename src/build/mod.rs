//! From source to slug: fetch, unpack, run the buildpacks, pack, and make the release.
//!
//! It must not know how a build was asked for (`git push` or the API), nor how a release is run.

pub mod procfile;
