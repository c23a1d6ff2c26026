//! The documentation: what its pages show to a browser, and whether what they say is so.
//!
//! Every command of a page is run, word for word, by someone with an empty home and the program on the PATH; or, where the page is
//! about a machine, by its root, with nothing of Penstock on it.

mod beside;
mod commands;
mod heroku;
mod limits;
mod machine;
mod named;
mod postgres;
mod programs;
mod script;
mod shown;

use penstock::docs::{PAGES, Page};

use script::Script;

/// A test for each page, so that they are run side by side.
macro_rules! commands_of {
    ($($name:ident $page:literal;)+) => {
        $(
            #[test]
            fn $name() {
                let page = PAGES.iter().find(|page| page.name == $page).unwrap();
                Script::of(page).run();
            }
        )+

        #[test]
        fn the_commands_of_every_page_are_run() {
            let tried = [$($page),+];
            let tried: Vec<&Page> = PAGES.iter().filter(|page| tried.contains(&page.name)).collect();
            for page in PAGES {
                let is_tried = tried.iter().any(|tried| tried.name == page.name);
                assert!(is_tried || Script::read(page).is_empty(), "nobody runs the commands of {}", page.name);
            }
        }
    };
}

commands_of! {
    what_the_page_on_the_first_app_says_works "first-app";
    what_the_page_on_apps_says_works "apps";
    what_the_page_on_pipelines_says_works "pipelines";
    what_the_page_on_moving_says_works "moving";
    what_the_page_on_installing_says_works "installing";
    what_the_page_on_operating_says_works "operating";
    what_the_page_on_teams_says_works "teams";
    what_the_page_on_security_says_works "security";
    what_the_page_on_the_api_says_works "api";
    what_the_page_on_testing_says_works "testing";
}

#[test]
fn what_the_readme_says_works() {
    Script::of_the_readme().run();
}

#[test]
fn no_block_of_a_page_says_that_it_is_not_run() {
    for page in PAGES {
        Script::read(page);
    }
}
