//! The API as a dyno finds it, through a whole server: with all that it can lay its hands on, it is nobody there.

use serde_json::json;

use super::root;
use crate::binary::sample::tarball;
use crate::binary::{Place, Server, TIED};

/// Tries all that might be a token: nothing, what its environment and those of others have, and what the server keeps.
const DYNO: &str = "
import glob, os, urllib.error, urllib.request

# Of a large file, such as the server's own program, what is read is no token.
def read(path):
    try:
        return open(path, errors='replace').read(1 << 20)
    except OSError:
        return ''

tokens = {''} | set(os.environ.values())
for path in glob.glob('/proc/[0-9]*/environ'):
    tokens |= {line.partition('=')[2] for line in read(path).split('\\0')}
for folder, _, files in os.walk(os.environ['DATA']):
    tokens |= {read(os.path.join(folder, name)).strip() for name in files}
key = read(os.environ['DATA'] + '/api_key').strip()

def ask(token):
    request = urllib.request.Request(os.environ['API'].rstrip('/') + '/account')
    request.add_header('Accept', 'application/vnd.heroku+json; version=3')
    if token:
        request.add_header('Authorization', 'Bearer ' + token)
    try:
        return urllib.request.urlopen(request, timeout=2).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 'unreachable'

fit = [token for token in tokens if len(token) < 200 and token.isascii() and token.isprintable()]
# At the level full it takes as long as nobody answers.
tried = [key] + sorted(fit)[:100 if ask('') != 'unreachable' else 1]
answers = {ask(token) for token in tried}
print('answered', sorted(map(str, answers)), flush=True)
";

#[tokio::test]
async fn a_dyno_is_nobody_to_the_api() {
    let full = root().then_some(("full", "['unreachable']"));
    let others = [
        ("userns", "['401']"),
        ("landlock", "['401']"),
        // Whoever runs dynos so lets them have everything.
        ("none", "['200', '401']"),
    ];
    for (level, answers) in full.into_iter().chain(others) {
        let place = Place::new();
        let isolation = format!("--isolation={level}");
        let arguments = [TIED, &isolation, "--rate-limit=false"];
        let server = Server::start(place.command(&arguments), &place.log());
        let client = server.client();
        client.create_app("app").await;
        let vars = json!({"API": server.ready.api_url, "DATA": server.data()});
        client
            .patch("/apps/app/config-vars", vars)
            .await
            .expect(200);
        let procfile = "worker: /usr/bin/python3 ask.py; exec tail -f /dev/null\n";
        let source = tarball(&[("Procfile", procfile), ("ask.py", DYNO)]);
        client.deploy("app", source).await;
        let scale = json!({"quantity": 1});
        client
            .patch("/apps/app/formation/worker", scale)
            .await
            .expect(200);
        let mut tail = client.tail("app", 1_500).await.unwrap();
        let said = tail.until("app[worker.1]: answered").await;
        assert!(said.concat().contains(answers), "{level}: {said:?}");
    }
}
