//! What the router needs to know of each app, in one snapshot.
