//! The file tree of a dyno: the machine's programs, read only; its own `/app`, `/tmp`, `/dev` and `/proc`; nothing else.
//!
//! It is built in an empty file system in memory, which then becomes the root. What the dyno writes is in memory too, in one file
//! system with a size and a count of files, and goes with the dyno.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{Gid, Uid, chown, pivot_root};

use super::init::step;
use super::{Ids, PROGRAM, PROGRAMS, Spec, VARS, apt, confine, etc};

/// Folders at the root that hold programs; on most machines all but the first are links into it.
const SYSTEM: [&str; 7] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// Where people put programs that no package brought.
const ADDED: [&str; 2] = ["/opt", "/nix"];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// What these two are mounted on lies out of sight once `/proc` is there.
const DISK: &str = "proc/disk";
const LOWER: &str = "proc/lower";
/// What the kernel puts behind the name of a running program that is no longer there.
const REPLACED: &str = " (deleted)";
/// For the folders and generated files of the tree itself, which the dyno cannot write to.
const SKELETON: &str = "size=2m,nr_inodes=2k,mode=755";

/// Makes the tree and this process's root of it. The working directory is the new root.
pub fn enter(spec: &Spec) -> io::Result<()> {
    let tree = Tree {
        spec,
        root: &spec.folder,
    };
    // Nothing of what follows is seen outside.
    mount_on(
        None,
        Path::new("/"),
        None,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None,
    )?;
    mount_on(
        Some("tmpfs"),
        tree.root,
        Some("tmpfs"),
        MsFlags::MS_NOSUID,
        Some(SKELETON),
    )?;
    tree.skeleton()
        .map_err(|error| step("make its root", error))?;
    tree.system()
        .map_err(|error| step("mount the system", error))?;
    tree.hide()
        .map_err(|error| step("hide the server's folder", error))?;
    read_only(tree.root).map_err(|error| step("make the system read only", error))?;
    tree.devices()
        .map_err(|error| step("make its devices", error))?;
    tree.writable()
        .map_err(|error| step("mount what it may write to", error))?;
    mount_on(
        Some("proc"),
        &tree.at("proc"),
        Some("proc"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        None,
    )?;
    // The old root comes to lie under the new one, from where it is taken away.
    nix::unistd::chdir(tree.root)?;
    pivot_root(".", ".").map_err(|error| step("change its root", error))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(|error| step("leave the old root", error))?;
    Ok(nix::unistd::chdir("/")?)
}

struct Tree<'a> {
    spec: &'a Spec,
    root: &'a Path,
}

impl Tree<'_> {
    fn at(&self, name: &str) -> PathBuf {
        self.root.join(name.trim_start_matches('/'))
    }

    fn ids(&self) -> Ids {
        self.spec.ids.unwrap_or(Ids {
            uid: confine::DYNO_UID,
            gid: confine::DYNO_UID,
        })
    }

    /// Folders, generated files and what things are mounted on.
    fn skeleton(&self) -> io::Result<()> {
        for folder in [
            "app",
            "dev/pts",
            "dev/shm",
            "etc",
            PROGRAMS.trim_start_matches('/'),
            DISK,
            LOWER,
            "run",
            "sys/fs/cgroup/memory",
            "tmp",
            "var/tmp",
        ] {
            fs::create_dir_all(self.at(folder))?;
        }
        let Ids { uid, gid } = self.ids();
        for (name, text) in etc::files(self.spec, uid, gid) {
            fs::write(self.at("etc").join(name), text)?;
        }
        // Buildpacks and language runtimes look here for how much memory there is.
        let memory = format!("{}\n", self.spec.limits.memory);
        fs::write(self.at("sys/fs/cgroup/memory.max"), &memory)?;
        fs::write(
            self.at("sys/fs/cgroup/memory/memory.limit_in_bytes"),
            &memory,
        )?;
        if self.spec.packages {
            fs::create_dir_all(self.at("etc/apt"))?;
            fs::write(self.at(apt::SOURCES), apt::sources())?;
        }
        for name in DEVICES {
            fs::write(self.at("dev").join(name), "")?;
        }
        if self.spec.tty {
            fs::write(self.at("dev/console"), "")?;
        }
        for (name, target) in [
            ("dev/fd", "/proc/self/fd"),
            ("dev/stdin", "/proc/self/fd/0"),
            ("dev/stdout", "/proc/self/fd/1"),
            ("dev/stderr", "/proc/self/fd/2"),
            ("dev/ptmx", "pts/ptmx"),
            ("var/run", "/run"),
            ("etc/mtab", "/proc/self/mounts"),
        ] {
            symlink(target, self.at(name))?;
        }
        Ok(())
    }

    /// The machine's programs and what they need. All of it can still be written to, so nothing here may open what is already there.
    fn system(&self) -> io::Result<()> {
        // First, while the place for it can only be in the tree itself.
        self.own_program()?;
        for name in SYSTEM {
            self.take(&Path::new("/").join(name))?;
        }
        for name in etc::names() {
            self.take(&Path::new("/etc").join(name))?;
        }
        let added = ADDED.into_iter().map(Path::new);
        for path in added.chain(self.spec.readable.iter().map(PathBuf::as_path)) {
            self.take(path)?;
        }
        if self.spec.packages {
            apt::FOLDERS
                .iter()
                .try_for_each(|path| self.take(Path::new(path)))?;
        }
        Ok(())
    }

    /// This program itself. Where it was replaced since it was started, the new one is shown, and where it is gone, none.
    fn own_program(&self) -> io::Result<()> {
        let path = std::env::current_exe()?;
        let name = path.to_string_lossy();
        let path = Path::new(name.strip_suffix(REPLACED).unwrap_or(&name));
        if !path.is_file() {
            return Ok(());
        }
        let place = self.at(PROGRAMS).join(PROGRAM);
        mount_point(&place)?;
        bind(path, &place)
    }

    /// Lays an empty folder over the server's own, if any of what is shown has it in it.
    fn hide(&self) -> io::Result<()> {
        let Ok(inner) = self.spec.hidden.strip_prefix("/") else {
            return Ok(());
        };
        let place = self.root.join(inner);
        // A folder of the server's may have the name of ours, which has nothing of the machine's in it.
        if !place.exists() || Path::new(PROGRAMS).starts_with(&self.spec.hidden) {
            return Ok(());
        }
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount_on(
            Some("tmpfs"),
            &place,
            Some("tmpfs"),
            flags,
            Some("size=4k,nr_inodes=2,mode=755"),
        )
    }

    /// Shows something of the machine at its own place: links as links, all else as it is. What is not there is left out.
    fn take(&self, source: &Path) -> io::Result<()> {
        let Ok(kind) = fs::symlink_metadata(source).map(|metadata| metadata.file_type()) else {
            return Ok(());
        };
        let Ok(inner) = source.strip_prefix("/") else {
            return Ok(());
        };
        let place = self.root.join(inner);
        if kind.is_symlink() {
            let target = fs::read_link(source)?;
            return match symlink(&target, &place) {
                // It lies in a folder that is shown.
                Err(_) if fs::read_link(&place).is_ok_and(|there| there == target) => Ok(()),
                made => made,
            };
        }
        if kind.is_dir() {
            fs::create_dir_all(&place)?;
        } else {
            mount_point(&place)?;
        }
        bind(source, &place)
    }

    fn devices(&self) -> io::Result<()> {
        for name in DEVICES {
            bind(&Path::new("/dev").join(name), &self.at("dev").join(name))?;
        }
        if self.spec.tty {
            // By its name: the descriptor was opened in another mount namespace, of which nothing can be mounted here.
            let terminal = fs::read_link("/proc/self/fd/0")?;
            bind(&terminal, &self.at("dev/console"))?;
        }
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
        let terminals = "newinstance,ptmxmode=0666,mode=620";
        mount_on(
            Some("devpts"),
            &self.at("dev/pts"),
            Some("devpts"),
            flags,
            Some(terminals),
        )
    }

    /// One file system of the dyno's size holds all that it writes.
    fn writable(&self) -> io::Result<()> {
        let limits = &self.spec.limits;
        let disk = self.at(DISK);
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let size = format!("size={},nr_inodes={},mode=755", limits.disk, limits.inodes);
        mount_on(Some("tmpfs"), &disk, Some("tmpfs"), flags, Some(&size))?;
        for (name, place, mode) in [
            ("tmp", "tmp", 0o1777),
            ("vartmp", "var/tmp", 0o1777),
            ("shm", "dev/shm", 0o1777),
            ("run", "run", 0o755),
        ] {
            let folder = match &self.spec.temporary {
                Some(folder) if place.ends_with("tmp") => folder.clone(),
                _ => self.own_folder(&disk.join(name), mode)?,
            };
            bind(&folder, &self.at(place))?;
        }
        self.vars()?;
        match self.spec.writes_through {
            true => bind(&self.spec.app, &self.at("app"))?,
            false => self.layer(&disk)?,
        }
        // The mounts made from it stay.
        Ok(umount2(&disk, MntFlags::MNT_DETACH)?)
    }

    /// As files, for the dyno's user alone.
    fn vars(&self) -> io::Result<()> {
        let Some(vars) = &self.spec.vars else {
            return Ok(());
        };
        let Ids { uid, gid } = self.ids();
        let folder = self.own_folder(&self.at(VARS), 0o700)?;
        for (name, value) in vars {
            let path = folder.join(name);
            fs::write(&path, value)?;
            chown(&path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        Ok(())
    }

    fn own_folder(&self, folder: &Path, mode: u32) -> io::Result<PathBuf> {
        fs::create_dir(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(mode))?;
        let Ids { uid, gid } = self.ids();
        chown(folder, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        Ok(folder.to_owned())
    }

    /// `/app`: the slug below, what the dyno writes above.
    fn layer(&self, disk: &Path) -> io::Result<()> {
        let upper = self.own_folder(&disk.join("upper"), 0o755)?;
        self.own_folder(&disk.join("work"), 0o755)?;
        drop(upper);
        let lower = self.at(LOWER);
        bind(&self.spec.app, &lower)?;
        // Names from the root of the tree, since a comma or a colon in a longer one would mean something here.
        nix::unistd::chdir(self.root)?;
        let user = if self.spec.ids.is_none() {
            ",userxattr"
        } else {
            ""
        };
        let layers = format!("lowerdir={LOWER},upperdir={DISK}/upper,workdir={DISK}/work{user}");
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount_on(
            Some("overlay"),
            &self.at("app"),
            Some("overlay"),
            flags,
            Some(&layers),
        )?;
        Ok(umount2(&lower, MntFlags::MNT_DETACH)?)
    }
}

/// A file to mount another on. What is there already may be the machine's own, in a folder that is shown: that is left as it is.
fn mount_point(place: &Path) -> io::Result<()> {
    match File::create_new(place) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// With what is mounted below it: a user namespace may not uncover what lies under a mount.
fn bind(source: &Path, place: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    let bound = mount(Some(source), place, None::<&str>, flags, None::<&str>);
    bound.map_err(|error| step(&format!("show {}", source.display()), error))
}

fn mount_on(
    source: Option<&str>,
    place: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    data: Option<&str>,
) -> io::Result<()> {
    let mounted = mount(source, place, kind, flags, data);
    let what = kind.unwrap_or("the old root");
    mounted.map_err(|error| step(&format!("mount {what}"), error))
}

/// A whole tree of mounts at once, without set-user-id programs and devices.
fn read_only(root: &Path) -> io::Result<()> {
    let path = CString::new(root.as_os_str().as_encoded_bytes()).map_err(io::Error::other)?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    #[expect(
        unsafe_code,
        reason = "path and attributes outlive the call, and the size is that of what is pointed at"
    )]
    let set = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    Ok(Errno::result(set).map(drop)?)
}
