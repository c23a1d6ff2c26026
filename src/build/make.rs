//! From a source to a slug's bytes: everything of a build that leaves no trace until it has succeeded.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::blob::Digest;
use crate::builders::{self, Folder, Kind};
use crate::caches::{LARGEST, Staged};
use crate::catalog;
use crate::error::{Error, Result};
use crate::output::Writer;
use crate::process_types::Built;
use crate::store::builds::{self, Build};
use crate::store::slugs::NewSlug;
use crate::store::{app_uids, config_vars};

use super::builtin::Choice;
use super::classic::{Classic, ground};
use super::halt::Halt;
use super::mixed;
use super::steps::Work;
use super::telling;
use super::workshop::{Site, Workshop};
use super::workspace::Workspace;
use super::{fetch, slug, source};

/// Of what a build does within the server, as the commands that it runs have it.
const NICENESS: i32 = 10;

impl Work {
    /// The slug, and the cache that is to be there for the next build once this one has succeeded.
    pub(super) async fn make(
        &self,
        build: &Build,
        output: &Writer,
        halt: &Halt,
    ) -> Result<(NewSlug, Option<Staged>)> {
        if build.attempts > self.settings.attempts {
            return Err(Error::invalid(format!(
                "The server was stopped in the middle of this build {} times, so it is given up. Look into the server's log, then \
                 create another build.",
                self.settings.attempts
            )));
        }
        if build.attempts > 1 {
            output.warning(
                "The server was stopped in the middle of this build, which now begins again.",
            );
        }
        let parts = &self.parts;
        parts
            .store
            .read(|connection| builds::asker(connection, build))?;
        let fetching = fetch::source(build, &parts.blobs, &parts.outbound, &self.settings, output);
        let source = halt.within(fetching).await?;
        let (dir, id) = (self.settings.dir.clone(), build.id);
        let workspace = Arc::new(blocking(move || Workspace::create(&dir, id)).await?);
        let made = self
            .slug(build, &workspace, source.digest, output, halt)
            .await
            .map(|slug| (slug, workspace.cache()));
        // Many files may have to go, and whoever hears of the end should find them gone.
        blocking(move || {
            drop(workspace);
            Ok(())
        })
        .await?;
        made
    }

    /// Unpacks a source, builds it, decides what it runs, and packs the slug. A thread that is still at it when the build was
    /// stopped holds the workspace too, so that nothing is removed under it.
    async fn slug(
        &self,
        build: &Build,
        workspace: &Arc<Workspace>,
        source: Digest,
        output: &Writer,
        halt: &Halt,
    ) -> Result<NewSlug> {
        let (blobs, place, stop) = (self.parts.blobs.clone(), workspace.clone(), halt.clone());
        let unpacking = move || source::unpack(&blobs, &source, &place.tree(), stop);
        let unpacked = behind(unpacking).await?;
        if let Some(folder) = unpacked.lifted {
            output.step(&format!("Building what is in {folder}/"));
            output.detail("It is all that the archive holds, so the app is taken to be in it. An archive that is made with");
            output.detail(
                "`tar czf ../source.tgz .` is built as it is, and so is what is pushed with git.",
            );
        }
        if let Some(alike) = unpacked.alike {
            output.warning(&format!(
                "`{alike}` differs from another file only in capitals. Both are kept here; disks that do not tell capitals, as Macs have \
                 them, keep one of the two."
            ));
        }
        if let Some(privileged) = unpacked.privileged {
            output.warning(&format!(
                "`{privileged}` is setuid or setgid, and becomes a file like any other: all that a dyno runs, runs as the dyno's own user."
            ));
        }
        if let Some(ignored) = unpacked.ignored {
            output.step(&format!(
                "Deleting {ignored} files matching .slugignore patterns."
            ));
        }
        let built = self.built(build, workspace, output, halt).await?;
        let place = workspace.clone();
        let found = blocking(move || source::decide(&place.tree(), built)).await?;
        telling::tell(&found, output);
        output.step("Compressing...");
        let (blobs, place, stop) = (self.parts.blobs.clone(), workspace.clone(), halt.clone());
        let max_slug = self.settings.max_slug;
        let packed = behind(move || slug::pack(&blobs, &place.tree(), max_slug, stop)).await?;
        output.detail(&format!("Done: {}", slug::shown(packed.size)));
        halt.check()?;
        slug::row(build, &packed, found.decision, found.cron)
    }

    /// Runs what builds the tree. `None` when nothing has to be run.
    async fn built(
        &self,
        build: &Build,
        workspace: &Arc<Workspace>,
        output: &Writer,
        halt: &Halt,
    ) -> Result<Option<Built>> {
        if !build.buildpacks.is_empty() {
            let classic = self.buildpacks(build, workspace, output, halt);
            return classic.await.map(Some);
        }
        let place = workspace.clone();
        let looked = blocking(move || {
            let tree = Folder::open(&place.tree())?;
            let found = builders::detect(&tree);
            let foreign = builders::foreign(&tree, &found);
            Ok((found, foreign, source::declares(&place.tree())?))
        });
        let (found, foreign, declares) = looked.await?;
        if let Some(foreign) = foreign {
            let advice = foreign.advice();
            if found.is_empty() && !declares {
                return Err(Error::invalid(advice));
            }
            output.warning(&advice);
            output.warning(&match found.first() {
                Some(kind) => format!("It is built as a {} app alone.", kind.name()),
                None => "It has a Procfile, so it is deployed as it is: nothing is installed and nothing is built.".to_owned(),
            });
        }
        match found.first() {
            None => Ok(None),
            Some(Kind::Own) => self.inline(build, workspace, output, halt).await.map(Some),
            Some(_) => {
                let workshop = self
                    .workshop(build, workspace, Site::InPlace, output)
                    .await?;
                let built = self.builtin(build, workshop, Choice::First(found), output, halt);
                built.await.map(Some)
            }
        }
    }

    /// By the source's own `bin/compile`.
    async fn inline(
        &self,
        build: &Build,
        workspace: &Arc<Workspace>,
        output: &Writer,
        halt: &Halt,
    ) -> Result<Built> {
        let workshop = self.workshop(build, workspace, Site::Apart, output).await?;
        let stop = halt.clone();
        let (workshop, pack) = blocking(move || {
            ground::prepare(&workshop, &stop)?;
            let pack = ground::inline(&workshop, &stop)?;
            Ok((workshop, pack))
        })
        .await?;
        let classic = Classic {
            build,
            workshop: &workshop,
            output,
            halt,
            cache: ground::cache(&workshop),
        };
        let built = classic.run(&[pack]).await;
        close(workshop, built, output).await
    }

    /// By the buildpacks that are named.
    async fn buildpacks(
        &self,
        build: &Build,
        workspace: &Arc<Workspace>,
        output: &Writer,
        halt: &Halt,
    ) -> Result<Built> {
        let stack = catalog::STACK.name.replacen("heroku", "Heroku", 1);
        output.step(&format!("Building on the {stack} stack"));
        let stand_ins = self.stand_ins(&build.buildpacks).await?;
        let names = build.buildpacks.iter().map(|known| known.name.clone());
        if let Some(kinds) = stand_ins.iter().copied().collect::<Option<Vec<_>>>() {
            let workshop = self
                .workshop(build, workspace, Site::InPlace, output)
                .await?;
            let named = Choice::Named(names.zip(kinds).collect());
            return self.builtin(build, workshop, named, output, halt).await;
        }
        let fetched = self
            .fetch_buildpacks(build, &stand_ins, workspace, output, halt)
            .await?;
        let workshop = self.workshop(build, workspace, Site::Apart, output).await?;
        let stop = halt.clone();
        let (workshop, packs) = blocking(move || {
            ground::prepare(&workshop, &stop)?;
            let packs = ground::fetched(&workshop, fetched)?;
            Ok((workshop, packs))
        })
        .await?;
        let classic = Classic {
            build,
            workshop: &workshop,
            output,
            halt,
            cache: ground::cache(&workshop),
        };
        let parts = mixed::parts(names, stand_ins, packs);
        let built = mixed::run(&classic, &self.settings.path, &parts).await;
        close(workshop, built, output).await
    }

    /// A workshop around the workspace's tree, as the user that the app's dynos run as.
    async fn workshop(
        &self,
        build: &Build,
        workspace: &Arc<Workspace>,
        site: Site,
        output: &Writer,
    ) -> Result<Workshop> {
        let (app, store) = (build.app_id, &self.parts.store);
        let bench = self.parts.bench.clone();
        let uid = match bench.isolation.uids() {
            Some(range) => {
                let allot = move |connection: &_| app_uids::allot(connection, app, &range);
                Some(store.write(allot).await?)
            }
            None => None,
        };
        let vars = store.read(|connection| config_vars::get(connection, app))?;
        output.hide(&vars);
        let level = bench.isolation.level();
        if !level.has_own_tree() {
            output.warning(&format!(
                "This server isolates builds at level {level}, where there is no /app: what counts on it may fail."
            ));
        }
        let (limits, place) = (self.settings.limits.clone(), workspace.clone());
        let ids = (build.id, app);
        blocking(move || Workshop::open(ids, &bench, &limits, &place, site, (uid, vars))).await
    }
}

/// Closes a workshop, off the async workers also where what ran in it has failed, and says it where the cache is not kept.
pub(super) async fn close(
    workshop: Workshop,
    built: Result<Built>,
    output: &Writer,
) -> Result<Built> {
    let (built, kept) = blocking(move || {
        let built = built?;
        Ok((built, workshop.close()?))
    })
    .await?;
    if !kept {
        output.warning(&format!(
            "The build's cache has more than {} MiB or {} files, so it is not kept: the next build begins with the cache that there \
             was before this one.",
            LARGEST.bytes >> 20,
            LARGEST.files
        ));
    }
    Ok(built)
}

/// Whether there is a file here, and no link to one.
pub(super) fn is_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Error::internal)?
}

/// The same, for what keeps processors busy: on a thread that makes way for all who are served, with those that it starts.
pub(super) async fn behind<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (tell, told) = oneshot::channel();
    let working = move || {
        // It counts for this thread alone. Where it is refused, the build takes its turn as others do.
        let _ = rustix::process::nice(NICENESS);
        // Nobody may be left to be told.
        let _ = tell.send(work());
    };
    let name = "build".to_owned();
    std::thread::Builder::new().name(name).spawn(working)?;
    told.await
        .map_err(|_| Error::internal("a thread of a build's panicked"))?
}
