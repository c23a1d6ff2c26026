//! nginx as a reverse proxy, with a configuration and a folder of its own. It does what the router does: the same headers, and for
//! each request the same line in a file; a second port does without the log.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Result;
use crate::process::{self, Core, Process};

const PATIENCE: Duration = Duration::from_secs(5);

pub struct Nginx {
    pub process: Process,
    pub logging: SocketAddr,
    pub silent: SocketAddr,
    _folder: TempDir,
}

/// Where a Debian package puts it, which need not be in the PATH of a user.
fn program() -> Option<&'static Path> {
    ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"]
        .into_iter()
        .map(Path::new)
        .find(|path| path.is_file())
}

/// `None` when it is not installed.
pub fn start(upstream: SocketAddr) -> Result<Option<Nginx>> {
    let Some(program) = program() else {
        return Ok(None);
    };
    let folder = crate::server::folder()?;
    let (logging, silent) = (free_port()?, free_port()?);
    let config = folder.path().join("nginx.conf");
    std::fs::write(
        &config,
        configuration(folder.path(), upstream, logging, silent),
    )?;
    let mut command = process::command(Core::Tested, program);
    command.arg("-c").arg(&config).arg("-p").arg(folder.path());
    command.arg("-e").arg(folder.path().join("error.log"));
    let process = Process::start(command)?;
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(silent).is_err() {
        if Instant::now() > deadline {
            return Err("nginx does not listen".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(Some(Nginx {
        process,
        logging,
        silent,
        _folder: folder,
    }))
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// One process and no master, so that its CPU time is the whole of it. Connections to the upstream are kept, as the router does.
fn configuration(
    folder: &Path,
    upstream: SocketAddr,
    logging: SocketAddr,
    silent: SocketAddr,
) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
        master_process off;
        worker_processes 1;
        pid {folder}/pid;
        events {{ worker_connections 4096; }}
        http {{
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            keepalive_requests 100000000;
            tcp_nodelay on;
            upstream app {{ server {upstream}; keepalive 64; keepalive_requests 100000000; }}
            proxy_http_version 1.1;
            proxy_set_header Connection '';
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header X-Request-Start $msec;
            proxy_set_header Via '1.1 nginx';
            add_header Via '1.1 nginx';
            proxy_max_temp_file_size 0;
            log_format router '$time_iso8601 heroku[router]: at=info method=$request_method path=\"$request_uri\" host=$host '
                'request_id=$request_id fwd=\"$proxy_add_x_forwarded_for\" dyno=web.1 connect=${{upstream_connect_time}}s '
                'service=${{request_time}}s status=$status bytes=$body_bytes_sent protocol=$scheme';
            server {{ listen {logging}; access_log {folder}/access.log router; location / {{ proxy_pass http://app; }} }}
            server {{ listen {silent}; access_log off; location / {{ proxy_pass http://app; }} }}
        }}
        "
    )
}
