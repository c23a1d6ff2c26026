//! What several touches of a row come to, and what an update changed of what is shown.
//!
//! Pure functions over what was noticed; they must not know the database.

use std::collections::HashMap;

use rusqlite::hooks::Action as Touch;
use serde_json::Value;

use super::webhook_events::Action;
use super::witness::Place;

/// What all that a write did to a row comes to: whether it was there before, and whether it is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    pub was: bool,
    pub is: bool,
}

/// In the order in which the rows were first touched.
pub fn net(touched: Vec<(Place, Touch)>) -> Vec<(Place, Net)> {
    let mut order: Vec<(Place, Net)> = Vec::new();
    let mut known: HashMap<Place, usize> = HashMap::new();
    for (place, touch) in touched {
        let at = *known.entry(place).or_insert_with(|| {
            let was = touch != Touch::SQLITE_INSERT;
            order.push((place, Net { was, is: was }));
            order.len() - 1
        });
        order[at].1.is = touch != Touch::SQLITE_DELETE;
    }
    order.retain(|(_, net)| net.was || net.is);
    order
}

/// What is told of a change: the resource as it is, or as it was when it went, and what was otherwise before an update. `None`
/// where nothing that is shown has changed.
pub fn difference(
    action: Action,
    earlier: Option<Value>,
    later: &Option<Value>,
) -> Option<(Value, Value)> {
    let nothing = || Value::Object(serde_json::Map::new());
    match action {
        Action::Create => later.clone().map(|data| (data, nothing())),
        Action::Destroy => earlier.map(|data| (data, nothing())),
        Action::Update => {
            let (earlier, data) = (earlier?, later.clone()?);
            let mut previous = serde_json::Map::new();
            for (name, value) in earlier.as_object()? {
                if data.get(name) != Some(value) {
                    previous.insert(name.clone(), value.clone());
                }
            }
            let changed = previous.keys().any(|name| name != "updated_at");
            changed.then_some((data, Value::Object(previous)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Resource;

    const ROW: Place = (Resource::Formation, 1);

    fn net_of(touches: &[Touch]) -> Option<(bool, bool)> {
        let touched = touches.iter().map(|touch| (ROW, *touch)).collect();
        net(touched).first().map(|(_, net)| (net.was, net.is))
    }

    #[test]
    fn what_is_done_to_a_row_comes_to_one_change() {
        use Touch::{SQLITE_DELETE as D, SQLITE_INSERT as I, SQLITE_UPDATE as U};
        assert_eq!(net_of(&[I, U, U]), Some((false, true)));
        assert_eq!(net_of(&[U, U]), Some((true, true)));
        assert_eq!(net_of(&[U, D]), Some((true, false)));
        assert_eq!(net_of(&[I, U, D]), None);
        // SQLite gives a free place to the next row.
        assert_eq!(net_of(&[D, I]), Some((true, true)));
    }

    #[test]
    fn an_update_that_shows_nothing_new_is_not_told() {
        let shown =
            |quantity: i64, at: &str| serde_json::json!({"quantity": quantity, "updated_at": at});
        let of = |earlier, later| difference(Action::Update, Some(earlier), &Some(later));
        assert_eq!(of(shown(1, "a"), shown(1, "b")), None);
        let (data, previous) = of(shown(1, "a"), shown(2, "b")).unwrap_or_default();
        assert_eq!(data, shown(2, "b"));
        assert_eq!(previous, shown(1, "a"));
    }
}
