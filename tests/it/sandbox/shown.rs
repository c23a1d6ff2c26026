//! What dynos are shown of the machine besides its programs stays as it is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::inside::outside_of_tmp;
use super::{Bed, Way};

#[test]
fn what_is_below_a_folder_that_dynos_read_may_be_named_itself_and_keeps_its_content() {
    for way in Way::all() {
        let mut bed = Bed::new(way, "cat $SHOWN/note $SHOWN/link");
        let shown = outside_of_tmp();
        fs::set_permissions(shown.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let [note, link] = ["note", "link"].map(|name| shown.path().join(name));
        fs::write(&note, "kept\n").unwrap();
        symlink("note", &link).unwrap();
        bed.spec.readable = vec![shown.path().to_owned(), note.clone(), link];
        let outcome = bed.with("SHOWN", shown.path().display()).run();
        assert_eq!(
            (outcome.status, outcome.said.as_str()),
            (0, "kept\nkept\n"),
            "{way:?}"
        );
        assert_eq!(fs::read_to_string(&note).unwrap(), "kept\n", "{way:?}");
    }
}

#[test]
fn a_server_in_a_folder_of_its_programs_name_does_not_hide_the_program() {
    for way in Way::all() {
        let mut bed = Bed::new(way, "ls /.penstock/bin");
        bed.spec.hidden = "/.penstock".into();
        if way.level.has_own_tree() {
            assert_eq!(bed.run().said, "penstock\n", "{way:?}");
        }
    }
}
