//! Debian's mosquitto as a process of its own, on a port it is given; it keeps sessions across clients.

use std::fs::{self, OpenOptions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::wait_for;

/// A running broker; killed when dropped.
pub struct Mosquitto {
    child: Child,
    folder: PathBuf,
    pub address: SocketAddr,
}

/// A port of this machine that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Mosquitto {
    /// Lets everybody in, and forgets everything when it ends.
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, "allow_anonymous true\n")
    }

    /// `lines` of its configuration say who may in, and what else there is: listeners, persistence.
    pub fn start_with(folder: &Path, lines: &str) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        // Root would become a user who may not look into the test's folder; for anybody else `user` means nothing.
        let own = format!(
            "user root\nlistener {} 127.0.0.1\nmax_queued_messages 0\nmax_inflight_messages 1000\n",
            address.port()
        );
        fs::write(folder.join("mosquitto.conf"), own + lines).unwrap();
        let mut broker = Self { child: spawn(folder), folder: folder.to_owned(), address };
        broker.wait_until_it_listens();
        broker
    }

    /// SIGTERM, on which it saves its sessions where it has `persistence`; waits for the end.
    pub fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = wait_for("mosquitto's end", Duration::from_secs(20), || self.child.try_wait().unwrap());
        assert!(status.success(), "mosquitto ended with {status}:\n{}", self.log());
    }

    /// Starts what was stopped, on the same port and folder.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.folder);
        self.wait_until_it_listens();
    }

    fn wait_until_it_listens(&mut self) {
        wait_for("mosquitto to listen", Duration::from_secs(20), || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("mosquitto ended with {status}:\n{}", self.log());
            }
            TcpStream::connect(self.address).ok()
        });
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("mosquitto.log")).unwrap()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

fn spawn(folder: &Path) -> Child {
    let log = OpenOptions::new().create(true).append(true).open(folder.join("mosquitto.log")).unwrap();
    let debian = "/usr/sbin/mosquitto";
    let mut command = Command::new(if Path::new(debian).exists() { debian } else { "mosquitto" });
    command.arg("-c").arg(folder.join("mosquitto.conf")).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}
