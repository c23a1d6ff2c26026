-- Penstock's state, whole. This file makes a new database; src/store/migrate.rs takes an older one here.
--
-- Ids are UUIDv7 text, so the order of ids is the order of creation. Times are RFC 3339 text in UTC with microseconds, all of one
-- width, so their order as text is their order in time. Foreign keys are on.

PRAGMA user_version = 2;

-- By what a key is known to be the one that everything here is sealed with (src/store/seals.rs): a word sealed with it. One row.
CREATE TABLE sealing_check (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE account (
    id         TEXT PRIMARY KEY,
    email      TEXT NOT NULL UNIQUE,
    name       TEXT,
    -- An admin runs the server: it may do everything with every app.
    admin      INTEGER NOT NULL DEFAULT 0 CHECK (admin IN (0, 1)),
    -- What clients keep with an account; the server makes nothing of them.
    allow_tracking INTEGER NOT NULL DEFAULT 1 CHECK (allow_tracking IN (0, 1)),
    beta           INTEGER NOT NULL DEFAULT 0 CHECK (beta IN (0, 1)),
    preferences    TEXT NOT NULL DEFAULT '{}',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX account_created ON account (created_at, id);
CREATE INDEX account_admin ON account (id) WHERE admin = 1;

-- An app that an account has put on its list of favorites.
CREATE TABLE favorite (
    id         TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    app_id     TEXT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
    created_at TEXT NOT NULL,
    UNIQUE (account_id, app_id)
) STRICT;
CREATE INDEX favorite_account ON favorite (account_id, id);
CREATE INDEX favorite_app ON favorite (app_id);

-- A public SSH key. It is one account's, whom it would let in. The fingerprint is the MD5 of the key, as Heroku shows it.
CREATE TABLE ssh_key (
    id          TEXT PRIMARY KEY,
    account_id  TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL UNIQUE,
    public_key  TEXT NOT NULL,
    comment     TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL
) STRICT;
CREATE INDEX ssh_key_account ON ssh_key (account_id, id);
CREATE INDEX ssh_key_account_fingerprint ON ssh_key (account_id, fingerprint);

-- A program that accounts may authorize. Its secret is sealed (src/store/seals.rs), since its owner may read it again.
CREATE TABLE oauth_client (
    id           TEXT PRIMARY KEY,
    account_id   TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    secret       BLOB NOT NULL,
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL
) STRICT;
CREATE INDEX oauth_client_account ON oauth_client (account_id, id);
CREATE INDEX oauth_client_account_name ON oauth_client (account_id, name, id);

-- What lets somebody use an account: the account's owner, or a client. scopes is a sum of bits: 1 global, 2 identity, 4 read,
-- 8 write, 16 read-protected, 32 write-protected. lifetime is that of its tokens, in seconds; null is for ever. The one that the
-- operator made first is the account's API key.
CREATE TABLE oauth_authorization (
    id          TEXT PRIMARY KEY,
    account_id  TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    client_id   TEXT REFERENCES oauth_client (id) ON DELETE CASCADE,
    description TEXT NOT NULL,
    scopes      INTEGER NOT NULL CHECK (scopes BETWEEN 1 AND 63),
    lifetime    INTEGER CHECK (lifetime > 0),
    api_key     INTEGER NOT NULL DEFAULT 0 CHECK (api_key IN (0, 1)),
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL
) STRICT;
CREATE INDEX oauth_authorization_account ON oauth_authorization (account_id, id);
CREATE INDEX oauth_authorization_account_created ON oauth_authorization (account_id, created_at, id);
CREATE INDEX oauth_authorization_client ON oauth_authorization (client_id);
CREATE UNIQUE INDEX oauth_authorization_api_key ON oauth_authorization (account_id) WHERE api_key = 1;

-- A code that its client exchanges for tokens, once. Codes and tokens are looked up by their digests and never stored; the hint
-- is the beginning and the end of one, by which its owner knows it again.
CREATE TABLE oauth_grant (
    id               TEXT PRIMARY KEY,
    authorization_id TEXT NOT NULL UNIQUE REFERENCES oauth_authorization (id) ON DELETE CASCADE,
    digest           BLOB NOT NULL UNIQUE,
    hint             TEXT NOT NULL,
    expires_at       TEXT NOT NULL
) STRICT;
CREATE INDEX oauth_grant_expires ON oauth_grant (expires_at);

-- A token with which requests are made. Its account and scopes are those of its authorization, which never change: they stand
-- here too, so that a request is let in by one look-up.
CREATE TABLE access_token (
    id               TEXT PRIMARY KEY,
    authorization_id TEXT NOT NULL REFERENCES oauth_authorization (id) ON DELETE CASCADE,
    account_id       TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    scopes           INTEGER NOT NULL CHECK (scopes BETWEEN 1 AND 63),
    digest           BLOB NOT NULL UNIQUE,
    hint             TEXT NOT NULL,
    expires_at       TEXT,
    created_at       TEXT NOT NULL
) STRICT;
CREATE INDEX access_token_authorization ON access_token (authorization_id, id);
CREATE INDEX access_token_account ON access_token (account_id);
CREATE INDEX access_token_expires ON access_token (expires_at) WHERE expires_at IS NOT NULL;

-- A token with which a client gets new access tokens.
CREATE TABLE refresh_token (
    id               TEXT PRIMARY KEY,
    authorization_id TEXT NOT NULL UNIQUE REFERENCES oauth_authorization (id) ON DELETE CASCADE,
    digest           BLOB NOT NULL UNIQUE,
    hint             TEXT NOT NULL,
    created_at       TEXT NOT NULL
) STRICT;

-- A login of the official CLI that waits for a person to answer it in a browser. The link for the browser has one secret, and the
-- CLI shows the other when it asks how it went; only their digests are kept. The token that it gets is sealed, and goes with the row.
CREATE TABLE cli_login (
    id          TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    address     TEXT NOT NULL,
    code_digest BLOB NOT NULL UNIQUE,
    poll_digest BLOB NOT NULL UNIQUE,
    token       BLOB,
    refused     INTEGER NOT NULL DEFAULT 0 CHECK (refused IN (0, 1)),
    created_at  TEXT NOT NULL,
    expires_at  TEXT NOT NULL
) STRICT;
CREATE INDEX cli_login_expires ON cli_login (expires_at);

-- Accounts that have apps and pipelines in common.
CREATE TABLE team (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE TABLE team_member (
    id         TEXT PRIMARY KEY,
    team_id    TEXT NOT NULL REFERENCES team (id) ON DELETE CASCADE,
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    role       TEXT NOT NULL CHECK (role IN ('admin', 'member', 'viewer', 'collaborator')),
    -- The team that the account's new team apps go to when none is named. One at most for an account.
    is_default INTEGER NOT NULL DEFAULT 0 CHECK (is_default IN (0, 1)),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (team_id, account_id)
) STRICT;
CREATE INDEX team_member_account ON team_member (account_id, team_id);
CREATE UNIQUE INDEX team_member_default ON team_member (account_id) WHERE is_default = 1;

-- Somebody is asked into a team, by an e-mail address that need not have an account yet. The token is handed over by a person;
-- its digest is stored.
CREATE TABLE team_invitation (
    id         TEXT PRIMARY KEY,
    team_id    TEXT NOT NULL REFERENCES team (id) ON DELETE CASCADE,
    email      TEXT NOT NULL,
    role       TEXT NOT NULL CHECK (role IN ('admin', 'member', 'viewer', 'collaborator')),
    digest     BLOB NOT NULL UNIQUE,
    invited_by TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    expires_at TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (team_id, email)
) STRICT;
CREATE INDEX team_invitation_invited_by ON team_invitation (invited_by);
CREATE INDEX team_invitation_expires ON team_invitation (expires_at);

-- An app belongs to an account or to a team. Its config vars, slug and release time are not here: they are those of its releases.
CREATE TABLE app (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    owner_id    TEXT REFERENCES account (id),
    team_id     TEXT REFERENCES team (id),
    -- A locked app is for its team's admins and for whoever was let in by name; the team's other members do not see it.
    locked      INTEGER NOT NULL DEFAULT 0 CHECK (locked IN (0, 1)),
    maintenance INTEGER NOT NULL DEFAULT 0 CHECK (maintenance IN (0, 1)),
    -- An authority is asked for the certificates of its domains.
    acm         INTEGER NOT NULL DEFAULT 0 CHECK (acm IN (0, 1)),
    -- What its config vars say that visitors are shown in the place of the server's own pages.
    error_page_url       TEXT,
    maintenance_page_url TEXT,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    CHECK ((owner_id IS NULL) <> (team_id IS NULL))
) STRICT;
CREATE INDEX app_owner ON app (owner_id, id);
CREATE INDEX app_team_name ON app (team_id, name, id) WHERE team_id IS NOT NULL;
CREATE INDEX app_team_created ON app (team_id, created_at, id) WHERE team_id IS NOT NULL;
CREATE INDEX app_team_updated ON app (team_id, updated_at, id) WHERE team_id IS NOT NULL;
CREATE INDEX app_team ON app (team_id, id);

-- How many bytes of what was pushed to an app with git lie on disk. That is no change of the app, so nobody is told of it.
CREATE TABLE app_repository (
    app_id TEXT PRIMARY KEY REFERENCES app (id) ON DELETE CASCADE,
    size   INTEGER NOT NULL
) STRICT;

-- Whether a feature of an app is on, where that was ever said.
CREATE TABLE app_feature (
    app_id     TEXT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    enabled    INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    updated_at TEXT NOT NULL,
    PRIMARY KEY (app_id, name)
) STRICT;

-- Whether a feature of an account is on, where that was ever said.
CREATE TABLE account_feature (
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    enabled    INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    updated_at TEXT NOT NULL,
    PRIMARY KEY (account_id, name)
) STRICT;

-- The user and group that an app's dynos run as, where the server is root.
CREATE TABLE app_uid (
    app_id TEXT PRIMARY KEY REFERENCES app (id) ON DELETE CASCADE,
    uid    INTEGER NOT NULL UNIQUE
) STRICT;

-- Who may do what with an app. Its owner stands here too, and so does every member of the team that has it, so that this is the
-- one place to look. permissions is a sum of bits: 1 view, 2 deploy, 4 operate, 8 manage, 16 own. Of these, granted are what
-- somebody gave to this account; the rest follow from its role in the team (src/store/team_access.rs). What the list of an
-- account's apps can be ordered by stands here too, so that a page of it costs the same however many apps there are.
CREATE TABLE collaborator (
    id          TEXT PRIMARY KEY,
    app_id      TEXT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
    account_id  TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    role        TEXT NOT NULL CHECK (role IN ('owner', 'collaborator', 'admin', 'member')),
    granted     INTEGER NOT NULL CHECK (granted BETWEEN 0 AND 31),
    permissions INTEGER NOT NULL CHECK (permissions BETWEEN 1 AND 31),
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    app_name       TEXT NOT NULL,
    app_team_id    TEXT,
    app_created_at TEXT NOT NULL,
    app_updated_at TEXT NOT NULL,
    UNIQUE (app_id, account_id)
) STRICT;
CREATE INDEX collaborator_account_name ON collaborator (account_id, app_name, app_id);
CREATE INDEX collaborator_account_created ON collaborator (account_id, app_created_at, app_id);
CREATE INDEX collaborator_account_updated ON collaborator (account_id, app_updated_at, app_id);
CREATE INDEX collaborator_account ON collaborator (account_id, app_id);
CREATE INDEX collaborator_account_team ON collaborator (account_id, app_team_id, app_id);
CREATE INDEX collaborator_account_team_name ON collaborator (account_id, app_team_id, app_name, app_id);
CREATE INDEX collaborator_account_team_created ON collaborator (account_id, app_team_id, app_created_at, app_id);
CREATE INDEX collaborator_account_team_updated ON collaborator (account_id, app_team_id, app_updated_at, app_id);
CREATE TRIGGER app_listed AFTER UPDATE OF name, team_id, updated_at ON app BEGIN
    UPDATE collaborator SET app_name = new.name, app_team_id = new.team_id, app_updated_at = new.updated_at WHERE app_id = new.id;
END;

-- A certificate with its chain, as PEM, and its key, sealed. What the certificate says of itself stands beside it: its names as a
-- JSON array.
CREATE TABLE sni_endpoint (
    id                TEXT PRIMARY KEY,
    app_id            TEXT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
    name              TEXT NOT NULL,
    certificate_chain TEXT NOT NULL,
    private_key       BLOB NOT NULL,
    certificate_id    TEXT NOT NULL,
    domains           TEXT NOT NULL,
    subject           TEXT NOT NULL,
    issuer            TEXT NOT NULL,
    starts_at         TEXT NOT NULL,
    expires_at        TEXT NOT NULL,
    ca_signed         INTEGER NOT NULL CHECK (ca_signed IN (0, 1)),
    self_signed       INTEGER NOT NULL CHECK (self_signed IN (0, 1)),
    created_at        TEXT NOT NULL,
    updated_at        TEXT NOT NULL,
    UNIQUE (app_id, name)
) STRICT;
CREATE INDEX sni_endpoint_app ON sni_endpoint (app_id, id);

-- A name under which an app is visited, beside the one that it has by its own. It is in the one spelling of src/hostname.rs.
CREATE TABLE domain (
    id              TEXT PRIMARY KEY,
    app_id          TEXT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
    hostname        TEXT NOT NULL UNIQUE,
    -- Its labels, the last first: so all names under one stand together.
    reversed        TEXT NOT NULL UNIQUE,
    sni_endpoint_id TEXT REFERENCES sni_endpoint (id) ON DELETE SET NULL,
    created_at      TEXT NOT NULL,
    updated_at      TEXT NOT NULL
) STRICT;
CREATE INDEX domain_app ON domain (app_id, id);
CREATE INDEX domain_app_hostname ON domain (app_id, hostname);
CREATE INDEX domain_sni_endpoint ON domain (sni_endpoint_id);

-- A domain whose certificate an authority is asked for. It is its own queue entry: due at next_at, and not at all without.
CREATE TABLE acm_order (
    domain_id       TEXT PRIMARY KEY REFERENCES domain (id) ON DELETE CASCADE,
    -- Null until it has come to something.
    status          TEXT CHECK (status IN ('cert issued', 'failing', 'failed')),
    reason          TEXT,
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_at         TEXT,
    -- The certificate that came by it.
    sni_endpoint_id TEXT REFERENCES sni_endpoint (id) ON DELETE SET NULL
) STRICT;
CREATE INDEX acm_order_due ON acm_order (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX acm_order_sni_endpoint ON acm_order (sni_endpoint_id) WHERE sni_endpoint_id IS NOT NULL;
CREATE TRIGGER acm_order_deleted AFTER DELETE ON acm_order WHEN OLD.sni_endpoint_id IS NOT NULL BEGIN
    DELETE FROM sni_endpoint WHERE id = OLD.sni_endpoint_id;
END;

-- The certificate that an authority is asked for in the API's own name. It is its own queue entry, like acm_order.
CREATE TABLE server_certificate (
    hostname          TEXT PRIMARY KEY,
    -- How often it was tried in vain since it last came to something.
    attempts          INTEGER NOT NULL DEFAULT 0,
    next_at           TEXT NOT NULL,
    -- Null until it is there.
    certificate_chain TEXT,
    private_key       BLOB
) STRICT;

-- How often an authority was asked lately, for whom and for which name. It outlives its domain, whose owner could else begin anew.
CREATE TABLE acm_request (
    id           TEXT PRIMARY KEY,
    -- The account or the team that the app was of.
    holder       TEXT NOT NULL,
    hostname     TEXT NOT NULL,
    requested_at TEXT NOT NULL
) STRICT;
CREATE INDEX acm_request_holder ON acm_request (holder, requested_at);
CREATE INDEX acm_request_hostname ON acm_request (hostname, requested_at);
CREATE INDEX acm_request_requested ON acm_request (requested_at);

-- An app offered to another account, or given to one. One at most for an app: the next takes the place of one that is settled.
CREATE TABLE app_transfer (
    id           TEXT PRIMARY KEY,
    app_id       TEXT NOT NULL UNIQUE REFERENCES app (id) ON DELETE CASCADE,
    owner_id     TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    recipient_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    state        TEXT NOT NULL CHECK (state IN ('pending', 'accepted', 'declined')),
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL
) STRICT;
CREATE INDEX app_transfer_owner ON app_transfer (owner_id, id);
CREATE INDEX app_transfer_recipient ON app_transfer (recipient_id, id);

-- Who is told of what happens to an app. Its URL, secret and authorization are sealed; include is a JSON array of entities.
-- owner_id is the app itself or, of a webhook that the provider of an add-on has made, the add-on. Neither is a reference: a
-- webhook stays after both until all is told.
CREATE TABLE app_webhook (
    id            TEXT PRIMARY KEY,
    owner_id      TEXT NOT NULL,
    app_id        TEXT NOT NULL,
    include       TEXT NOT NULL,
    level         TEXT NOT NULL CHECK (level IN ('notify', 'sync')),
    url           BLOB NOT NULL,
    secret        BLOB NOT NULL,
    authorization BLOB,
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL
) STRICT;
CREATE INDEX app_webhook_owner ON app_webhook (owner_id, id);
CREATE INDEX app_webhook_app ON app_webhook (app_id);

-- What was done over the API, and by whom. It outlives all that it names, so it points at nothing. Asked for by time alone.
CREATE TABLE audit_trail_event (
    id          TEXT NOT NULL,
    type        TEXT NOT NULL,
    action      TEXT NOT NULL,
    actor_id    TEXT NOT NULL,
    actor_email TEXT NOT NULL,
    app_id      TEXT,
    app_name    TEXT,
    owner_id    TEXT,
    owner_email TEXT,
    team_id     TEXT,
    team_name   TEXT,
    ip_address  TEXT,
    data        TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    PRIMARY KEY (created_at, id)
) STRICT, WITHOUT ROWID;

-- The events of a month that is over, in a blob. Events are forgotten; these are not.
CREATE TABLE audit_trail_archive (
    -- 2026-01
    month      TEXT PRIMARY KEY,
    digest     TEXT NOT NULL,
    size       INTEGER NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX audit_trail_archive_digest ON audit_trail_archive (digest);

-- What happened to a resource of an app, which is told to webhooks. data is the resource as the API showed it, previous_data what
-- was otherwise before an update, both JSON objects. It is told to the webhooks of one owner, and shown among his. No reference
-- leads out of here, since all that is told of may be gone.
CREATE TABLE app_webhook_event (
    id            TEXT PRIMARY KEY,
    owner_id      TEXT NOT NULL,
    entity        TEXT NOT NULL,
    action        TEXT NOT NULL CHECK (action IN ('create', 'update', 'destroy')),
    actor_id      TEXT NOT NULL,
    actor_email   TEXT NOT NULL,
    data          TEXT NOT NULL,
    previous_data TEXT NOT NULL,
    created_at    TEXT NOT NULL
) STRICT;
CREATE INDEX app_webhook_event_owner ON app_webhook_event (owner_id, id);
CREATE INDEX app_webhook_event_owner_created ON app_webhook_event (owner_id, created_at, id);

-- An event on its way to a webhook, and its own queue entry. Of those of one webhook that have not ended, the first alone has a
-- next_attempt_at. What the attempt_ columns say is the last attempt.
CREATE TABLE app_webhook_delivery (
    id                 TEXT PRIMARY KEY,
    owner_id           TEXT NOT NULL,
    webhook_id         TEXT NOT NULL REFERENCES app_webhook (id) ON DELETE CASCADE,
    event_id           TEXT NOT NULL REFERENCES app_webhook_event (id) ON DELETE CASCADE,
    status             TEXT NOT NULL CHECK (status IN ('pending', 'scheduled', 'retrying', 'failed', 'succeeded')),
    num_attempts       INTEGER NOT NULL DEFAULT 0,
    next_attempt_at    TEXT,
    attempt_id         TEXT,
    attempt_status     TEXT CHECK (attempt_status IN ('scheduled', 'succeeded', 'failed')),
    attempt_code       INTEGER,
    attempt_error      TEXT,
    attempt_created_at TEXT,
    attempt_updated_at TEXT,
    created_at         TEXT NOT NULL,
    updated_at         TEXT NOT NULL
) STRICT;
CREATE INDEX app_webhook_delivery_owner ON app_webhook_delivery (owner_id, id);
CREATE INDEX app_webhook_delivery_owner_created ON app_webhook_delivery (owner_id, created_at, id);
CREATE INDEX app_webhook_delivery_owner_status ON app_webhook_delivery (owner_id, status, id);
CREATE INDEX app_webhook_delivery_owner_status_created ON app_webhook_delivery (owner_id, status, created_at, id);
CREATE INDEX app_webhook_delivery_webhook ON app_webhook_delivery (webhook_id, status, id);
CREATE INDEX app_webhook_delivery_event ON app_webhook_delivery (event_id);
CREATE INDEX app_webhook_delivery_due ON app_webhook_delivery (next_attempt_at, id) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX app_webhook_delivery_created ON app_webhook_delivery (created_at);

-- The config vars of an app at one time, as a JSON object of strings. A change makes a new set; a release points at the set it
-- runs with, and a rollback points at an old one again. A set is never altered. An app's config vars are those of its newest
-- release, whatever became of that release. The vars are sealed (src/store/seals.rs). It goes with the last release that runs with
-- it, so it needs no index of its own: a change of config vars is the most frequent write.
CREATE TABLE config_set (
    id   TEXT PRIMARY KEY,
    vars BLOB NOT NULL,
    -- The names of those that add-ons set, as a JSON array. A client cannot change them, and a rollback does not bring them back.
    addon_vars TEXT NOT NULL DEFAULT '[]'
) STRICT, WITHOUT ROWID;

-- An upload slot for a source tarball. The digest is null until the bytes are there.
CREATE TABLE source (
    id         TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    digest     TEXT,
    size       INTEGER,
    expires_at TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX source_account ON source (account_id);
CREATE INDEX source_expires ON source (expires_at);
CREATE INDEX source_digest ON source (digest);

-- A slug points at a blob. It outlives the app that built it while another app's release runs it.
CREATE TABLE slug (
    id                 TEXT PRIMARY KEY,
    app_id             TEXT REFERENCES app (id) ON DELETE SET NULL,
    digest             TEXT,
    size               INTEGER,
    "commit"           TEXT,
    commit_description TEXT,
    description        TEXT,
    checksum           TEXT,
    process_types      TEXT NOT NULL,
    -- What its app.json asks to be run at which times: a JSON array of objects.
    cron               TEXT NOT NULL DEFAULT '[]',
    created_at         TEXT NOT NULL,
    updated_at         TEXT NOT NULL
) STRICT;
CREATE INDEX slug_app ON slug (app_id, id);
CREATE INDEX slug_digest ON slug (digest);

CREATE TABLE release (
    id            TEXT PRIMARY KEY,
    app_id        TEXT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
    version       INTEGER NOT NULL CHECK (version > 0),
    description   TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed', 'expired')),
    slug_id       TEXT REFERENCES slug (id),
    config_set_id TEXT NOT NULL REFERENCES config_set (id),
    account_id    TEXT NOT NULL REFERENCES account (id),
    -- The plans of the add-ons that were attached: a JSON array of names.
    addon_plan_names TEXT NOT NULL DEFAULT '[]',
    -- Its output says why it does not come up.
    told          INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1)),
    -- It was made to change the slug, and not to go on with the one that was there.
    deploys       INTEGER NOT NULL DEFAULT 0 CHECK (deploys IN (0, 1)),
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL,
    UNIQUE (app_id, version)
) STRICT;
CREATE INDEX release_deploys ON release (app_id, version) WHERE deploys = 1;
CREATE INDEX release_app ON release (app_id, id);
CREATE INDEX release_app_created ON release (app_id, created_at, id);
CREATE INDEX release_slug ON release (slug_id) WHERE slug_id IS NOT NULL;
CREATE INDEX release_config_set ON release (config_set_id);
CREATE INDEX release_account ON release (account_id);

CREATE INDEX release_pending ON release (app_id, version) WHERE status = 'pending';

CREATE TRIGGER release_deleted AFTER DELETE ON release BEGIN
    DELETE FROM config_set WHERE id = OLD.config_set_id
        AND NOT EXISTS (SELECT 1 FROM release WHERE config_set_id = OLD.config_set_id);
END;

-- The phase of a release before it counts, and its own queue entry: a release waits here until those before it have ended and its
-- command, the slug's process type release, has run. Releases that wait for nothing have no row.
CREATE TABLE release_phase (
    release_id    TEXT PRIMARY KEY REFERENCES release (id) ON DELETE CASCADE,
    -- The slug was to be that of the release before, which was pending: should that one fail, it is the current release's.
    inherits_slug INTEGER NOT NULL CHECK (inherits_slug IN (0, 1)),
    -- Whether the command is run for a change like this one.
    runs_command  INTEGER NOT NULL CHECK (runs_command IN (0, 1)),
    -- Null when there is nothing to run.
    command       TEXT,
    -- The dyno that runs or ran it, once there was one. No reference: a dyno's row goes when it ends.
    dyno_id       TEXT,
    attempts      INTEGER NOT NULL DEFAULT 0,
    -- How the dyno ended, and its exit status. 'lost': it could not be started, or nobody was there to see its end.
    ended         TEXT CHECK (ended IN ('exited', 'stopped', 'expired', 'lost')),
    exit_code     INTEGER
) STRICT;
CREATE INDEX release_phase_dyno ON release_phase (dyno_id) WHERE dyno_id IS NOT NULL;

-- What a test or a person said of a release. It never changes the release's own status.
CREATE TABLE release_status (
    id          TEXT PRIMARY KEY,
    release_id  TEXT NOT NULL REFERENCES release (id) ON DELETE CASCADE,
    context     TEXT NOT NULL,
    name        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('error', 'failure', 'pending', 'success')),
    description TEXT NOT NULL,
    target_url  TEXT NOT NULL,
    image_url   TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    UNIQUE (release_id, context)
) STRICT;

-- A build is its own queue entry: pending and unclaimed until a builder of this boot claims it.
CREATE TABLE build (
    id                  TEXT PRIMARY KEY,
    app_id              TEXT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
    account_id          TEXT NOT NULL REFERENCES account (id),
    status              TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    -- May hold credentials, so it is sealed.
    source_url          BLOB NOT NULL,
    source_digest       TEXT,
    checksum            TEXT,
    version             TEXT,
    version_description TEXT,
    -- Those that it is built with, as its app had them if it names none itself: a JSON array of objects with url and name.
    buildpacks          TEXT NOT NULL DEFAULT '[]',
    claimed_by          TEXT,
    attempts            INTEGER NOT NULL DEFAULT 0,
    slug_id             TEXT REFERENCES slug (id),
    release_id          TEXT REFERENCES release (id) ON DELETE SET NULL,
    created_at          TEXT NOT NULL,
    updated_at          TEXT NOT NULL
) STRICT;
CREATE INDEX build_app ON build (app_id, id);
CREATE INDEX build_app_created ON build (app_id, created_at, id);
CREATE INDEX build_pending ON build (id) WHERE status = 'pending';
CREATE INDEX build_source_digest ON build (source_digest) WHERE status = 'pending';
CREATE INDEX build_slug ON build (slug_id);
CREATE INDEX build_release ON build (release_id);
CREATE INDEX build_account ON build (account_id, updated_at);

-- The buildpacks that an app asks to be built with, counted from 0.
CREATE TABLE buildpack_installation (
    app_id  TEXT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL CHECK (ordinal >= 0),
    url     TEXT NOT NULL,
    name    TEXT NOT NULL,
    PRIMARY KEY (app_id, ordinal)
) STRICT;

CREATE TABLE formation (
    id         TEXT PRIMARY KEY,
    app_id     TEXT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
    type       TEXT NOT NULL,
    quantity   INTEGER NOT NULL CHECK (quantity >= 0),
    size       TEXT NOT NULL,
    command    TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (app_id, type)
) STRICT;
CREATE INDEX formation_app ON formation (app_id, id);
CREATE INDEX formation_wanted ON formation (app_id) WHERE quantity > 0;

-- A command that is run again and again, from the app.json of the slug that the app runs. Brought in line with each new slug.
CREATE TABLE cron_job (
    id                 TEXT PRIMARY KEY,
    app_id             TEXT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
    command            TEXT NOT NULL,
    schedule           TEXT NOT NULL,
    concurrency_policy TEXT NOT NULL CHECK (concurrency_policy IN ('Allow', 'Forbid', 'Replace')),
    suspended          INTEGER NOT NULL CHECK (suspended IN (0, 1)),
    -- The next moment of the schedule that was not seen to. Null while it is suspended.
    next_run_at        TEXT,
    created_at         TEXT NOT NULL,
    updated_at         TEXT NOT NULL,
    UNIQUE (app_id, command, schedule)
) STRICT;
CREATE INDEX cron_job_app ON cron_job (app_id, id);
CREATE INDEX cron_job_due ON cron_job (next_run_at) WHERE next_run_at IS NOT NULL;

-- One run of a job, and its own queue entry: pending until its dyno is asked for, running until that has ended. The newest of each
-- job are kept, also when the job is gone, so cron_job_id is no reference.
CREATE TABLE cron_run (
    id              TEXT PRIMARY KEY,
    app_id          TEXT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
    cron_job_id     TEXT NOT NULL,
    command         TEXT NOT NULL,
    -- By the schedule, or by somebody.
    trigger         TEXT NOT NULL CHECK (trigger IN ('schedule', 'manual')),
    status          TEXT NOT NULL CHECK (status IN ('pending', 'running', 'succeeded', 'failed', 'skipped')),
    -- Why it was skipped or failed, for a person.
    message         TEXT,
    exit_code       INTEGER,
    -- The moment of the schedule, or when somebody asked.
    scheduled_at    TEXT NOT NULL,
    release_version INTEGER,
    -- No reference: a dyno's row goes when it ends.
    dyno_id         TEXT,
    dyno_name       TEXT,
    started_at      TEXT,
    ended_at        TEXT,
    created_at      TEXT NOT NULL,
    updated_at      TEXT NOT NULL
) STRICT;
CREATE INDEX cron_run_app ON cron_run (app_id, id);
CREATE INDEX cron_run_job ON cron_run (cron_job_id, id);
CREATE INDEX cron_run_pending ON cron_run (cron_job_id) WHERE status = 'pending';
CREATE INDEX cron_run_dyno ON cron_run (dyno_id) WHERE status = 'running';

-- A dyno's row is written before its process is started and deleted after the process is gone, so every process of ours has a
-- row. app_id and release_id are no references: the row must outlive its app until the process has ended.
CREATE TABLE dyno (
    id               TEXT PRIMARY KEY,
    app_id           TEXT NOT NULL,
    release_id       TEXT NOT NULL,
    release_version  INTEGER NOT NULL,
    type             TEXT NOT NULL,
    ordinal          INTEGER NOT NULL,
    size             TEXT NOT NULL,
    command          TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('starting', 'up', 'crashed', 'idle', 'down')),
    port             INTEGER,
    -- Where that port is, if not at this machine's own address.
    address          TEXT,
    pid              INTEGER,
    crashes          INTEGER NOT NULL DEFAULT 0,
    start_at         TEXT,
    -- Somebody asked for it to be replaced, or it goes to make place for its successor.
    restart          INTEGER NOT NULL DEFAULT 0 CHECK (restart IN (0, 1)),
    -- It has been up, or comes in the place of one of the same release that has. While a newer release does not come up, such web
    -- dynos are what visitors see, so they are started again, whatever ended them; but not once they were retired.
    served           INTEGER NOT NULL DEFAULT 0 CHECK (served IN (0, 1)),
    -- Runs once, beside the formation.
    one_off          INTEGER NOT NULL DEFAULT 0 CHECK (one_off IN (0, 1)),
    -- A one-off dyno waits to be launched, and is launched once. A dyno of the formation is launched with its row.
    launched         INTEGER NOT NULL DEFAULT 1 CHECK (launched IN (0, 1)),
    -- What a one-off dyno has on top of the config vars: a JSON object of strings, sealed.
    env              BLOB,
    -- The dyno in whose sandbox a one-off dyno runs, and with which it ends. Without, it has one of its own.
    inside           TEXT,
    -- When a one-off dyno is ended, should it still run.
    expires_at       TEXT,
    -- Of the secret with which somebody attaches to a one-off dyno. It is launched when he has come, and goes if he has not until
    -- attach_by, which is null from then on.
    attach_digest    BLOB UNIQUE,
    attach_by        TEXT,
    -- Of the terminal that it gets, if it gets one.
    terminal_rows    INTEGER CHECK (terminal_rows BETWEEN 0 AND 65535),
    terminal_columns INTEGER CHECK (terminal_columns BETWEEN 0 AND 65535),
    created_at       TEXT NOT NULL,
    updated_at       TEXT NOT NULL
) STRICT;
CREATE INDEX dyno_app ON dyno (app_id, id);
CREATE INDEX dyno_one_off ON dyno (id) WHERE one_off = 1;

-- An app that is made from a source and its app.json. The app, its build and the dyno of its postdeploy script are no references:
-- a setup that fails deletes its app, and the record stays.
CREATE TABLE app_setup (
    id                   TEXT PRIMARY KEY,
    account_id           TEXT NOT NULL REFERENCES account (id),
    app_id               TEXT NOT NULL,
    app_name             TEXT NOT NULL,
    status               TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    failure_message      TEXT,
    -- A JSON array of strings.
    manifest_errors      TEXT NOT NULL DEFAULT '[]',
    -- May hold credentials, so it is sealed.
    source_url           BLOB NOT NULL,
    source_digest        TEXT,
    checksum             TEXT,
    version              TEXT,
    environment          TEXT,
    -- What goes before the values of app.json: a JSON object of strings, sealed.
    env                  BLOB NOT NULL,
    -- In place of those of app.json: a JSON array of strings.
    buildpacks           TEXT,
    -- What is left to do, from app.json, once that was read.
    manifest             TEXT,
    -- The ids of the add-ons that were asked for, which are awaited before the build: a JSON array.
    addons               TEXT NOT NULL DEFAULT '[]',
    build_id             TEXT,
    build_status         TEXT,
    postdeploy_dyno_id   TEXT,
    postdeploy_process   TEXT,
    postdeploy_ended     INTEGER NOT NULL DEFAULT 0 CHECK (postdeploy_ended IN (0, 1)),
    postdeploy_exit_code INTEGER,
    -- Sealed: a script may print config vars.
    postdeploy_output    BLOB,
    success_url          TEXT,
    created_at           TEXT NOT NULL,
    updated_at           TEXT NOT NULL
) STRICT;
CREATE INDEX app_setup_account ON app_setup (account_id);
CREATE INDEX app_setup_app ON app_setup (app_id);
CREATE INDEX app_setup_pending ON app_setup (id) WHERE status = 'pending';
CREATE INDEX app_setup_source_digest ON app_setup (source_digest) WHERE status = 'pending';
CREATE INDEX app_setup_build ON app_setup (build_id);
CREATE INDEX app_setup_postdeploy_dyno ON app_setup (postdeploy_dyno_id);

-- Where an app's log is to be sent. The URL may hold credentials, so it is sealed; the token names the drain to whoever receives
-- from it, and is no secret. One that an add-on has made goes with the add-on.
CREATE TABLE log_drain (
    id         TEXT PRIMARY KEY,
    app_id     TEXT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
    addon_id   TEXT UNIQUE REFERENCES addon (id) ON DELETE CASCADE,
    url        BLOB NOT NULL,
    token      TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX log_drain_app ON log_drain (app_id, id);

-- Where an app's OpenTelemetry signals are to be sent. The endpoint and the headers may hold credentials, so they are sealed.
CREATE TABLE telemetry_drain (
    id            TEXT PRIMARY KEY,
    app_id        TEXT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
    -- A JSON array of strings.
    signals       TEXT NOT NULL,
    exporter_type TEXT NOT NULL CHECK (exporter_type IN ('otlphttp', 'otlp')),
    endpoint      BLOB NOT NULL,
    -- A JSON object of strings.
    headers       BLOB NOT NULL,
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL
) STRICT;
CREATE INDEX telemetry_drain_app ON telemetry_drain (app_id, id);

-- A pipeline belongs to an account or to a team, like an app.
CREATE TABLE pipeline (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    description TEXT,
    owner_id    TEXT REFERENCES account (id),
    team_id     TEXT REFERENCES team (id),
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    UNIQUE (owner_id, name),
    UNIQUE (team_id, name),
    CHECK ((owner_id IS NULL) <> (team_id IS NULL))
) STRICT;
CREATE INDEX pipeline_owner ON pipeline (owner_id, id);
CREATE INDEX pipeline_team ON pipeline (team_id, id);
CREATE INDEX pipeline_name ON pipeline (name);

CREATE TABLE pipeline_coupling (
    id          TEXT PRIMARY KEY,
    app_id      TEXT NOT NULL UNIQUE REFERENCES app (id) ON DELETE CASCADE,
    pipeline_id TEXT NOT NULL REFERENCES pipeline (id) ON DELETE CASCADE,
    stage       TEXT NOT NULL CHECK (stage IN ('test', 'review', 'development', 'staging', 'production')),
    -- Contexts of release statuses that must be successful on what is promoted here: a JSON array of strings.
    required_status_checks TEXT NOT NULL DEFAULT '[]',
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL
) STRICT;
CREATE INDEX pipeline_coupling_pipeline ON pipeline_coupling (pipeline_id, id);
CREATE INDEX pipeline_coupling_pipeline_created ON pipeline_coupling (pipeline_id, created_at, id);

-- What the review or test apps of a pipeline begin with: a JSON object of strings, sealed.
CREATE TABLE pipeline_config (
    id          TEXT PRIMARY KEY,
    pipeline_id TEXT NOT NULL REFERENCES pipeline (id) ON DELETE CASCADE,
    stage       TEXT NOT NULL CHECK (stage IN ('test', 'review')),
    vars        BLOB NOT NULL,
    UNIQUE (pipeline_id, stage)
) STRICT;

CREATE TABLE review_app_config (
    pipeline_id        TEXT PRIMARY KEY REFERENCES pipeline (id) ON DELETE CASCADE,
    base_name          TEXT,
    destroy_stale_apps INTEGER NOT NULL CHECK (destroy_stale_apps IN (0, 1)),
    stale_days         INTEGER NOT NULL CHECK (stale_days BETWEEN 1 AND 30)
) STRICT;

-- An app that was made for one branch. Its status follows from its setup; deleted tells that somebody deleted it.
CREATE TABLE review_app (
    id           TEXT PRIMARY KEY,
    pipeline_id  TEXT NOT NULL REFERENCES pipeline (id) ON DELETE CASCADE,
    account_id   TEXT NOT NULL REFERENCES account (id),
    app_setup_id TEXT NOT NULL REFERENCES app_setup (id) ON DELETE CASCADE,
    branch       TEXT NOT NULL,
    pr_number    INTEGER,
    deleted      INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL
) STRICT;
CREATE INDEX review_app_pipeline ON review_app (pipeline_id, id);
CREATE INDEX review_app_pipeline_created ON review_app (pipeline_id, created_at, id);
CREATE INDEX review_app_account ON review_app (account_id);
CREATE INDEX review_app_setup ON review_app (app_setup_id);

-- A promotion is its own queue entry: pending until the releases are made on its targets, which happens in one transaction.
-- source_app_id and source_release_id are no references: the record stays readable when the source is deleted.
CREATE TABLE pipeline_promotion (
    id                TEXT PRIMARY KEY,
    pipeline_id       TEXT NOT NULL REFERENCES pipeline (id) ON DELETE CASCADE,
    account_id        TEXT NOT NULL REFERENCES account (id),
    source_app_id     TEXT NOT NULL,
    source_release_id TEXT NOT NULL,
    status            TEXT NOT NULL CHECK (status IN ('pending', 'completed')),
    created_at        TEXT NOT NULL,
    updated_at        TEXT NOT NULL
) STRICT;
CREATE INDEX pipeline_promotion_pipeline ON pipeline_promotion (pipeline_id, id);
CREATE INDEX pipeline_promotion_pending ON pipeline_promotion (id) WHERE status = 'pending';
CREATE INDEX pipeline_promotion_account ON pipeline_promotion (account_id);

-- app_id is no reference either: a deleted target keeps its line, with its error.
CREATE TABLE pipeline_promotion_target (
    id            TEXT PRIMARY KEY,
    promotion_id  TEXT NOT NULL REFERENCES pipeline_promotion (id) ON DELETE CASCADE,
    app_id        TEXT NOT NULL,
    release_id    TEXT REFERENCES release (id) ON DELETE SET NULL,
    status        TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    error_message TEXT
) STRICT;
CREATE INDEX pipeline_promotion_target_promotion ON pipeline_promotion_target (promotion_id, id);
CREATE INDEX pipeline_promotion_target_release ON pipeline_promotion_target (release_id);

-- A service whose add-ons a provider makes for us, as its manifest says. The password, with which we come to the provider, and
-- the salt of its single sign-on are sealed; the secret with which the provider comes to us is only compared, so it is a digest.
CREATE TABLE addon_service (
    id                 TEXT PRIMARY KEY,
    name               TEXT NOT NULL UNIQUE,
    human_name         TEXT NOT NULL,
    cli_plugin_name    TEXT,
    state              TEXT NOT NULL CHECK (state IN ('alpha', 'beta', 'ga', 'shutdown')),
    supports_multiple_installations INTEGER NOT NULL CHECK (supports_multiple_installations IN (0, 1)),
    supports_sharing   INTEGER NOT NULL CHECK (supports_sharing IN (0, 1)),
    -- Whether its add-ons are sent the log of their app.
    wants_log          INTEGER NOT NULL CHECK (wants_log IN (0, 1)),
    config_vars_prefix TEXT NOT NULL,
    -- The names that the provider may set: a JSON array of strings, each beginning with the prefix.
    config_vars        TEXT NOT NULL,
    base_url           TEXT NOT NULL,
    sso_url            TEXT NOT NULL,
    password           BLOB NOT NULL,
    sso_salt           BLOB,
    client_secret      BLOB NOT NULL,
    created_at         TEXT NOT NULL,
    updated_at         TEXT NOT NULL
) STRICT;
CREATE INDEX addon_service_created ON addon_service (created_at, id);

-- The name is whole: service:plan. A plan that has left the manifest is hidden while add-ons are on it.
CREATE TABLE plan (
    id               TEXT PRIMARY KEY,
    addon_service_id TEXT NOT NULL REFERENCES addon_service (id) ON DELETE CASCADE,
    name             TEXT NOT NULL UNIQUE,
    human_name       TEXT NOT NULL,
    description      TEXT NOT NULL,
    is_default       INTEGER NOT NULL CHECK (is_default IN (0, 1)),
    visible          INTEGER NOT NULL CHECK (visible IN (0, 1)),
    created_at       TEXT NOT NULL,
    updated_at       TEXT NOT NULL
) STRICT;
CREATE INDEX plan_addon_service ON plan (addon_service_id, id);

-- An add-on is its own queue entry: while task says something, the loop asks its provider at due_at, or gives up.
-- 'provision': the provider is asked to make it. 'wait': it is making it, and says when it is done. 'plan': it is asked to change
-- the plan to wanted_plan_id. An app goes only after its add-ons, so that no provider is forgotten.
CREATE TABLE addon (
    id                TEXT PRIMARY KEY,
    name              TEXT NOT NULL UNIQUE,
    app_id            TEXT NOT NULL REFERENCES app (id),
    addon_service_id  TEXT NOT NULL REFERENCES addon_service (id),
    plan_id           TEXT NOT NULL REFERENCES plan (id),
    state             TEXT NOT NULL CHECK (state IN ('provisioning', 'provisioned', 'deprovisioned')),
    provider_id       TEXT,
    provision_message TEXT NOT NULL DEFAULT '',
    -- What its provider set, under the names of the manifest: a sealed JSON object of strings.
    config            BLOB NOT NULL,
    -- What the customer asked for at its creation, for the provider: a sealed JSON object.
    options           BLOB NOT NULL,
    -- Of the drain that the log is sent through, where the service wants it.
    log_drain_token   TEXT,
    task              TEXT CHECK (task IN ('provision', 'wait', 'plan')),
    due_at            TEXT,
    attempts          INTEGER NOT NULL DEFAULT 0,
    -- Of the code that the provider was sent and may exchange once for a token.
    grant_digest      BLOB UNIQUE,
    grant_expires_at  TEXT,
    wanted_plan_id    TEXT REFERENCES plan (id),
    -- Why the last change of plan was refused.
    plan_error        TEXT,
    -- Whether the release that tells of its attachment has been made.
    announced         INTEGER NOT NULL DEFAULT 0 CHECK (announced IN (0, 1)),
    created_at        TEXT NOT NULL,
    updated_at        TEXT NOT NULL
) STRICT;
CREATE INDEX addon_app ON addon (app_id, id);
CREATE INDEX addon_addon_service ON addon (addon_service_id);
CREATE INDEX addon_plan ON addon (plan_id);
CREATE INDEX addon_wanted_plan ON addon (wanted_plan_id);
CREATE INDEX addon_due ON addon (due_at) WHERE task IS NOT NULL;

-- Where an add-on's config vars appear, under names that begin with the attachment's.
CREATE TABLE addon_attachment (
    id         TEXT PRIMARY KEY,
    addon_id   TEXT NOT NULL REFERENCES addon (id) ON DELETE CASCADE,
    app_id     TEXT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    namespace  TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (app_id, name)
) STRICT;
CREATE INDEX addon_attachment_addon ON addon_attachment (addon_id, id);
CREATE INDEX addon_attachment_app ON addon_attachment (app_id, id);
CREATE INDEX addon_attachment_name ON addon_attachment (name);

-- With which a provider comes to us about one add-on: an access token for some hours, and a refresh token for as long as the add-on
-- is there. Only digests are kept.
CREATE TABLE addon_token (
    id         TEXT PRIMARY KEY,
    addon_id   TEXT NOT NULL REFERENCES addon (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('access', 'refresh')),
    digest     BLOB NOT NULL UNIQUE,
    expires_at TEXT,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX addon_token_addon ON addon_token (addon_id, id);
CREATE INDEX addon_token_expires ON addon_token (expires_at) WHERE expires_at IS NOT NULL;

-- What a provider still has to be told to remove. The row is written when the add-on goes, and goes when the provider has agreed.
-- addon_id is no reference: the add-on is no more.
CREATE TABLE addon_removal (
    id               TEXT PRIMARY KEY,
    addon_id         TEXT NOT NULL UNIQUE,
    addon_service_id TEXT NOT NULL REFERENCES addon_service (id) ON DELETE CASCADE,
    due_at           TEXT NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    created_at       TEXT NOT NULL
) STRICT;
CREATE INDEX addon_removal_addon_service ON addon_removal (addon_service_id);
CREATE INDEX addon_removal_due ON addon_removal (due_at);

-- What an account sees of pipelines, couplings, add-ons and attachments, for several reasons each. The views say who sees what and
-- why. Below each stands a table with the same rows, which triggers keep in line with it, each account and resource once: a
-- look-up asks that table, and a page of a list costs the same however much there is, since what the list can be ordered by
-- stands there too.

-- A pipeline is its owner's, a team's viewers see it too, and it is open to whoever has an app in it.
CREATE VIEW pipeline_seen AS
    SELECT owner_id AS account_id, id AS pipeline_id, name, created_at FROM pipeline WHERE owner_id IS NOT NULL
    UNION ALL
    SELECT team_member.account_id, pipeline.id, pipeline.name, pipeline.created_at
    FROM pipeline CROSS JOIN team_member ON team_member.team_id = pipeline.team_id AND team_member.role <> 'collaborator'
    UNION ALL
    SELECT collaborator.account_id, pipeline.id, pipeline.name, pipeline.created_at
    FROM pipeline CROSS JOIN pipeline_coupling ON pipeline_coupling.pipeline_id = pipeline.id
    CROSS JOIN collaborator ON collaborator.app_id = pipeline_coupling.app_id;
CREATE TABLE pipeline_viewer (
    account_id  TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    pipeline_id TEXT NOT NULL REFERENCES pipeline (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    PRIMARY KEY (account_id, pipeline_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX pipeline_viewer_pipeline ON pipeline_viewer (pipeline_id);
CREATE INDEX pipeline_viewer_name ON pipeline_viewer (account_id, name, pipeline_id);
CREATE INDEX pipeline_viewer_created ON pipeline_viewer (account_id, created_at, pipeline_id);

-- A coupling is seen by whoever may see the app, and by the owner of the pipeline: of a team its admins, from whom no app of it is
-- hidden. team_id is the app's.
CREATE VIEW pipeline_coupling_seen AS
    SELECT collaborator.account_id, pipeline_coupling.id AS coupling_id, pipeline_coupling.pipeline_id,
        collaborator.app_team_id AS team_id, pipeline_coupling.created_at
    FROM pipeline_coupling CROSS JOIN collaborator ON collaborator.app_id = pipeline_coupling.app_id
    UNION ALL
    SELECT pipeline.owner_id, pipeline_coupling.id, pipeline_coupling.pipeline_id, app.team_id, pipeline_coupling.created_at
    FROM pipeline_coupling CROSS JOIN pipeline ON pipeline.id = pipeline_coupling.pipeline_id AND pipeline.owner_id IS NOT NULL
    CROSS JOIN app ON app.id = pipeline_coupling.app_id
    UNION ALL
    SELECT team_member.account_id, pipeline_coupling.id, pipeline_coupling.pipeline_id, app.team_id, pipeline_coupling.created_at
    FROM pipeline_coupling CROSS JOIN pipeline ON pipeline.id = pipeline_coupling.pipeline_id
    CROSS JOIN team_member ON team_member.team_id = pipeline.team_id AND team_member.role = 'admin'
    CROSS JOIN app ON app.id = pipeline_coupling.app_id;
CREATE TABLE pipeline_coupling_viewer (
    account_id  TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    coupling_id TEXT NOT NULL REFERENCES pipeline_coupling (id) ON DELETE CASCADE,
    pipeline_id TEXT NOT NULL,
    team_id     TEXT,
    created_at  TEXT NOT NULL,
    PRIMARY KEY (account_id, coupling_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX pipeline_coupling_viewer_coupling ON pipeline_coupling_viewer (coupling_id);
CREATE INDEX pipeline_coupling_viewer_created ON pipeline_coupling_viewer (account_id, created_at, coupling_id);
CREATE INDEX pipeline_coupling_viewer_pipeline ON pipeline_coupling_viewer (account_id, pipeline_id, coupling_id);
CREATE INDEX pipeline_coupling_viewer_pipeline_created ON pipeline_coupling_viewer (account_id, pipeline_id, created_at, coupling_id);
CREATE INDEX pipeline_coupling_viewer_team ON pipeline_coupling_viewer (account_id, team_id, coupling_id);
CREATE INDEX pipeline_coupling_viewer_team_created ON pipeline_coupling_viewer (account_id, team_id, created_at, coupling_id);

-- An add-on is seen from its own app, and from every app that it is attached to. team_id is that of its own app.
CREATE VIEW addon_seen AS
    SELECT collaborator.account_id, addon.id AS addon_id, collaborator.app_team_id AS team_id, addon.name, addon.created_at,
        addon.updated_at
    FROM addon CROSS JOIN collaborator ON collaborator.app_id = addon.app_id
    UNION ALL
    SELECT collaborator.account_id, addon.id, app.team_id, addon.name, addon.created_at, addon.updated_at
    FROM addon CROSS JOIN addon_attachment ON addon_attachment.addon_id = addon.id
    CROSS JOIN collaborator ON collaborator.app_id = addon_attachment.app_id CROSS JOIN app ON app.id = addon.app_id;
CREATE TABLE addon_viewer (
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    addon_id   TEXT NOT NULL REFERENCES addon (id) ON DELETE CASCADE,
    team_id    TEXT,
    name       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (account_id, addon_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX addon_viewer_addon ON addon_viewer (addon_id);
CREATE INDEX addon_viewer_name ON addon_viewer (account_id, name, addon_id);
CREATE INDEX addon_viewer_created ON addon_viewer (account_id, created_at, addon_id);
CREATE INDEX addon_viewer_updated ON addon_viewer (account_id, updated_at, addon_id);
CREATE INDEX addon_viewer_team ON addon_viewer (account_id, team_id, addon_id);
CREATE INDEX addon_viewer_team_name ON addon_viewer (account_id, team_id, name, addon_id);
CREATE INDEX addon_viewer_team_created ON addon_viewer (account_id, team_id, created_at, addon_id);
CREATE INDEX addon_viewer_team_updated ON addon_viewer (account_id, team_id, updated_at, addon_id);

-- An attachment is seen by whoever may see its app, and by whoever manages the add-on's app, and may take it off there. To see an
-- add-on is not enough: the other apps that use it may be hidden.
CREATE VIEW addon_attachment_seen AS
    SELECT collaborator.account_id, addon_attachment.id AS attachment_id, addon_attachment.name, addon_attachment.created_at
    FROM addon_attachment CROSS JOIN collaborator ON collaborator.app_id = addon_attachment.app_id
    UNION ALL
    SELECT collaborator.account_id, addon_attachment.id, addon_attachment.name, addon_attachment.created_at
    FROM addon_attachment CROSS JOIN addon ON addon.id = addon_attachment.addon_id
    CROSS JOIN collaborator ON collaborator.app_id = addon.app_id AND collaborator.permissions & 8;
CREATE TABLE addon_attachment_viewer (
    account_id    TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    attachment_id TEXT NOT NULL REFERENCES addon_attachment (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    created_at    TEXT NOT NULL,
    PRIMARY KEY (account_id, attachment_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX addon_attachment_viewer_attachment ON addon_attachment_viewer (attachment_id);
CREATE INDEX addon_attachment_viewer_name ON addon_attachment_viewer (account_id, name, attachment_id);
CREATE INDEX addon_attachment_viewer_created ON addon_attachment_viewer (account_id, created_at, attachment_id);

-- What is new is shown to whoever sees it. What goes, and whose row goes, takes his rows along by their references.
CREATE TRIGGER pipeline_made AFTER INSERT ON pipeline BEGIN
    INSERT OR IGNORE INTO pipeline_viewer SELECT * FROM pipeline_seen WHERE pipeline_id = new.id;
END;
CREATE TRIGGER pipeline_renamed AFTER UPDATE OF name ON pipeline BEGIN
    UPDATE pipeline_viewer SET name = new.name WHERE pipeline_id = new.id;
END;
CREATE TRIGGER pipeline_given AFTER UPDATE OF owner_id, team_id ON pipeline BEGIN
    DELETE FROM pipeline_viewer WHERE pipeline_id = new.id;
    INSERT OR IGNORE INTO pipeline_viewer SELECT * FROM pipeline_seen WHERE pipeline_id = new.id;
    DELETE FROM pipeline_coupling_viewer WHERE coupling_id IN (SELECT id FROM pipeline_coupling WHERE pipeline_id = new.id);
    INSERT OR IGNORE INTO pipeline_coupling_viewer SELECT * FROM pipeline_coupling_seen WHERE pipeline_id = new.id;
END;
CREATE TRIGGER pipeline_coupling_made AFTER INSERT ON pipeline_coupling BEGIN
    INSERT OR IGNORE INTO pipeline_viewer SELECT collaborator.account_id, pipeline.id, pipeline.name, pipeline.created_at
        FROM collaborator CROSS JOIN pipeline WHERE collaborator.app_id = new.app_id AND pipeline.id = new.pipeline_id;
    INSERT OR IGNORE INTO pipeline_coupling_viewer SELECT * FROM pipeline_coupling_seen WHERE coupling_id = new.id;
END;
CREATE TRIGGER pipeline_coupling_gone AFTER DELETE ON pipeline_coupling BEGIN
    DELETE FROM pipeline_viewer
        WHERE pipeline_id = old.pipeline_id AND account_id IN (SELECT account_id FROM collaborator WHERE app_id = old.app_id)
        AND NOT EXISTS (SELECT 1 FROM pipeline_seen AS seen
            WHERE seen.pipeline_id = pipeline_viewer.pipeline_id AND seen.account_id = pipeline_viewer.account_id);
END;
CREATE TRIGGER team_member_made AFTER INSERT ON team_member BEGIN
    INSERT OR IGNORE INTO pipeline_viewer SELECT new.account_id, id, name, created_at
        FROM pipeline WHERE team_id = new.team_id AND new.role <> 'collaborator';
    INSERT OR IGNORE INTO pipeline_coupling_viewer SELECT new.account_id, own.id, own.pipeline_id, app.team_id, own.created_at
        FROM pipeline CROSS JOIN pipeline_coupling AS own CROSS JOIN app
        WHERE pipeline.team_id = new.team_id AND own.pipeline_id = pipeline.id AND app.id = own.app_id AND new.role = 'admin';
END;
CREATE TRIGGER team_member_changed AFTER UPDATE OF role ON team_member BEGIN
    INSERT OR IGNORE INTO pipeline_viewer SELECT new.account_id, id, name, created_at
        FROM pipeline WHERE team_id = new.team_id AND new.role <> 'collaborator';
    INSERT OR IGNORE INTO pipeline_coupling_viewer SELECT new.account_id, own.id, own.pipeline_id, app.team_id, own.created_at
        FROM pipeline CROSS JOIN pipeline_coupling AS own CROSS JOIN app
        WHERE pipeline.team_id = new.team_id AND own.pipeline_id = pipeline.id AND app.id = own.app_id AND new.role = 'admin';
    DELETE FROM pipeline_viewer
        WHERE account_id = new.account_id AND pipeline_id IN (SELECT id FROM pipeline WHERE team_id = new.team_id)
        AND NOT EXISTS (SELECT 1 FROM pipeline_seen AS seen
            WHERE seen.pipeline_id = pipeline_viewer.pipeline_id AND seen.account_id = pipeline_viewer.account_id);
    DELETE FROM pipeline_coupling_viewer
        WHERE account_id = new.account_id AND pipeline_id IN (SELECT id FROM pipeline WHERE team_id = new.team_id)
        AND NOT EXISTS (SELECT 1 FROM pipeline_coupling_seen AS seen
            WHERE seen.coupling_id = pipeline_coupling_viewer.coupling_id
            AND seen.account_id = pipeline_coupling_viewer.account_id);
END;
CREATE TRIGGER team_member_gone AFTER DELETE ON team_member BEGIN
    DELETE FROM pipeline_viewer
        WHERE account_id = old.account_id AND pipeline_id IN (SELECT id FROM pipeline WHERE team_id = old.team_id)
        AND NOT EXISTS (SELECT 1 FROM pipeline_seen AS seen
            WHERE seen.pipeline_id = pipeline_viewer.pipeline_id AND seen.account_id = pipeline_viewer.account_id);
    DELETE FROM pipeline_coupling_viewer
        WHERE account_id = old.account_id AND pipeline_id IN (SELECT id FROM pipeline WHERE team_id = old.team_id)
        AND NOT EXISTS (SELECT 1 FROM pipeline_coupling_seen AS seen
            WHERE seen.coupling_id = pipeline_coupling_viewer.coupling_id
            AND seen.account_id = pipeline_coupling_viewer.account_id);
END;
CREATE TRIGGER app_moved AFTER UPDATE OF team_id ON app BEGIN
    UPDATE pipeline_coupling_viewer SET team_id = new.team_id
        WHERE coupling_id IN (SELECT id FROM pipeline_coupling WHERE app_id = new.id);
    UPDATE addon_viewer SET team_id = new.team_id WHERE addon_id IN (SELECT id FROM addon WHERE app_id = new.id);
END;
CREATE TRIGGER addon_made AFTER INSERT ON addon BEGIN
    INSERT OR IGNORE INTO addon_viewer SELECT * FROM addon_seen WHERE addon_id = new.id;
END;
CREATE TRIGGER addon_listed AFTER UPDATE OF name, updated_at ON addon BEGIN
    UPDATE addon_viewer SET name = new.name, updated_at = new.updated_at WHERE addon_id = new.id;
END;
CREATE TRIGGER addon_attachment_made AFTER INSERT ON addon_attachment BEGIN
    INSERT OR IGNORE INTO addon_viewer
        SELECT collaborator.account_id, addon.id, app.team_id, addon.name, addon.created_at, addon.updated_at
        FROM collaborator CROSS JOIN addon CROSS JOIN app
        WHERE collaborator.app_id = new.app_id AND addon.id = new.addon_id AND app.id = addon.app_id;
    INSERT OR IGNORE INTO addon_attachment_viewer SELECT * FROM addon_attachment_seen WHERE attachment_id = new.id;
END;
CREATE TRIGGER addon_attachment_gone AFTER DELETE ON addon_attachment BEGIN
    DELETE FROM addon_viewer
        WHERE addon_id = old.addon_id AND account_id IN (SELECT account_id FROM collaborator WHERE app_id = old.app_id)
        AND NOT EXISTS (SELECT 1 FROM addon_seen AS seen
            WHERE seen.addon_id = addon_viewer.addon_id AND seen.account_id = addon_viewer.account_id);
END;
CREATE TRIGGER collaborator_made AFTER INSERT ON collaborator BEGIN
    INSERT OR IGNORE INTO pipeline_viewer SELECT new.account_id, pipeline.id, pipeline.name, pipeline.created_at
        FROM pipeline_coupling CROSS JOIN pipeline
        WHERE pipeline_coupling.app_id = new.app_id AND pipeline.id = pipeline_coupling.pipeline_id;
    INSERT OR IGNORE INTO pipeline_coupling_viewer SELECT new.account_id, id, pipeline_id, new.app_team_id, created_at
        FROM pipeline_coupling WHERE app_id = new.app_id;
    INSERT OR IGNORE INTO addon_viewer SELECT new.account_id, id, new.app_team_id, name, created_at, updated_at
        FROM addon WHERE app_id = new.app_id;
    INSERT OR IGNORE INTO addon_viewer
        SELECT new.account_id, addon.id, app.team_id, addon.name, addon.created_at, addon.updated_at
        FROM addon_attachment CROSS JOIN addon CROSS JOIN app
        WHERE addon_attachment.app_id = new.app_id AND addon.id = addon_attachment.addon_id AND app.id = addon.app_id;
    INSERT OR IGNORE INTO addon_attachment_viewer SELECT new.account_id, id, name, created_at
        FROM addon_attachment WHERE app_id = new.app_id;
    INSERT OR IGNORE INTO addon_attachment_viewer SELECT new.account_id, own.id, own.name, own.created_at
        FROM addon CROSS JOIN addon_attachment AS own
        WHERE addon.app_id = new.app_id AND own.addon_id = addon.id AND new.permissions & 8;
END;
CREATE TRIGGER collaborator_permitted AFTER UPDATE OF permissions ON collaborator WHEN old.permissions & 8 <> new.permissions & 8 BEGIN
    INSERT OR IGNORE INTO addon_attachment_viewer SELECT new.account_id, own.id, own.name, own.created_at
        FROM addon CROSS JOIN addon_attachment AS own
        WHERE addon.app_id = new.app_id AND own.addon_id = addon.id AND new.permissions & 8;
    DELETE FROM addon_attachment_viewer
        WHERE account_id = new.account_id AND attachment_id IN (SELECT own.id
            FROM addon CROSS JOIN addon_attachment AS own WHERE addon.app_id = new.app_id AND own.addon_id = addon.id)
        AND NOT EXISTS (SELECT 1 FROM addon_attachment_seen AS seen
            WHERE seen.attachment_id = addon_attachment_viewer.attachment_id
            AND seen.account_id = addon_attachment_viewer.account_id);
END;
CREATE TRIGGER collaborator_gone AFTER DELETE ON collaborator BEGIN
    DELETE FROM pipeline_viewer
        WHERE account_id = old.account_id AND pipeline_id IN (SELECT pipeline_id FROM pipeline_coupling WHERE app_id = old.app_id)
        AND NOT EXISTS (SELECT 1 FROM pipeline_seen AS seen
            WHERE seen.pipeline_id = pipeline_viewer.pipeline_id AND seen.account_id = pipeline_viewer.account_id);
    DELETE FROM pipeline_coupling_viewer
        WHERE account_id = old.account_id AND coupling_id IN (SELECT id FROM pipeline_coupling WHERE app_id = old.app_id)
        AND NOT EXISTS (SELECT 1 FROM pipeline_coupling_seen AS seen
            WHERE seen.coupling_id = pipeline_coupling_viewer.coupling_id
            AND seen.account_id = pipeline_coupling_viewer.account_id);
    DELETE FROM addon_viewer
        WHERE account_id = old.account_id AND addon_id IN (SELECT id FROM addon WHERE app_id = old.app_id
            UNION SELECT addon_id FROM addon_attachment WHERE app_id = old.app_id)
        AND NOT EXISTS (SELECT 1 FROM addon_seen AS seen
            WHERE seen.addon_id = addon_viewer.addon_id AND seen.account_id = addon_viewer.account_id);
    DELETE FROM addon_attachment_viewer
        WHERE account_id = old.account_id AND attachment_id IN (SELECT id FROM addon_attachment WHERE app_id = old.app_id
            UNION SELECT own.id FROM addon JOIN addon_attachment AS own ON own.addon_id = addon.id WHERE addon.app_id = old.app_id)
        AND NOT EXISTS (SELECT 1 FROM addon_attachment_seen AS seen
            WHERE seen.attachment_id = addon_attachment_viewer.attachment_id
            AND seen.account_id = addon_attachment_viewer.account_id);
END;
