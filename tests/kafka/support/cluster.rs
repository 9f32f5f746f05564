//! Brokers with proxies before them: one node or three, each with a listener for a test's own
//! clients, several that are advertised as proxies, for the program, and one for the brokers among
//! themselves, behind a proxy too. It must not aim: see `proxy`.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::broker::{Broker, free_port};
use super::deployment::Instance;
use super::process::Process;
use super::proxy::{Aim, Api, Gate, Moment, Proxy};

/// One for each test that shares a cluster.
const N_WAYS: usize = 9;
/// What a cluster of several keeps of each record, and how many must have it.
const REPLICATED: &str = "
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
default.replication.factor=3
min.insync.replicas=2
";

/// One node, or several of which each is broker and controller.
#[derive(Debug)]
pub(crate) struct Cluster {
    nodes: Vec<Broker>,
    ways: Mutex<Vec<Way>>,
    among: Way,
}

/// A proxy before each node, and where to aim at them.
#[derive(Debug)]
pub(crate) struct Way {
    proxies: Vec<Proxy>,
    pub(crate) gate: Arc<Gate>,
}

impl Way {
    fn to(ports: &[[u16; 2]]) -> Way {
        let gate = Arc::new(Gate::default());
        let start = |(node, [broker, proxy]): (usize, &[u16; 2])| {
            Proxy::start(*proxy, *broker, node, Arc::clone(&gate))
        };
        Way { proxies: ports.iter().enumerate().map(start).collect(), gate }
    }

    /// Starts a process whose restore comes to no end: each fetch is held from when it joins the
    /// group on. Before that a start reads a marker, which passes.
    pub(crate) fn start_into_restore(
        &self,
        instance: &mut Instance,
        moment: Moment,
    ) -> (Process, Arc<Aim>) {
        let joining = self.gate.aim(Api::JoinGroup, Moment::Reply, 0);
        let mut process = instance.start();
        joining.wait(&mut process);
        // The new aim opens the earlier one.
        let dam = self.gate.dam(Api::Fetch, moment);
        (process, dam)
    }

    /// As `bootstrap.servers` wants it.
    pub(crate) fn address(&self) -> String {
        let addresses: Vec<String> = self.proxies.iter().map(Proxy::address).collect();
        addresses.join(",")
    }
}

impl Cluster {
    /// Starts one for this test alone; `None` if this machine cannot, which counts as skipped.
    pub(crate) fn start(n_nodes: usize, n_ways: usize) -> Option<Cluster> {
        let pair = || [free_port(), free_port()];
        let clients: Vec<[u16; 2]> = (0..n_nodes).map(|_| pair()).collect();
        let ways: Vec<Vec<[u16; 2]>> =
            (0..=n_ways).map(|_| (0..n_nodes).map(|_| pair()).collect()).collect();
        let voters: Vec<String> = clients
            .iter()
            .zip(1..)
            .map(|([_, port], id)| format!("{id}@127.0.0.1:{port}"))
            .collect();
        let mut nodes = Vec::new();
        for (node, ports) in clients.iter().enumerate() {
            let own = format!("node.id={}\nnum.network.threads=1\n", node + 1);
            let quorum = format!("{REPLICATED}controller.quorum.voters={}\n", voters.join(","));
            let quorum = if n_nodes > 1 { quorum } else { String::new() };
            let more = listeners(ports[0], ways.iter().map(|way| way[node])) + &own + &quorum;
            let arguments = (n_nodes == 1).then(|| "--standalone".to_owned());
            nodes.push(Broker::format(*ports, |_| (more, arguments.into_iter().collect()))?);
        }
        let mut ways: Vec<Way> = ways.iter().map(|ports| Way::to(ports)).collect();
        nodes.iter_mut().for_each(Broker::launch);
        nodes.iter_mut().for_each(Broker::wait_until_started);
        let among = ways.remove(0);
        Some(Cluster { nodes, ways: Mutex::new(ways), among })
    }

    /// A single node that tests share which leave it alone: it ends with the last of them.
    pub(crate) fn shared() -> Option<Arc<Cluster>> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = shared.upgrade() {
            return Some(cluster);
        }
        let cluster = Arc::new(Cluster::start(1, N_WAYS)?);
        *shared = Arc::downgrade(&cluster);
        Some(cluster)
    }

    /// Where a test's own clients connect, past all proxies.
    pub(crate) fn address(&self) -> String {
        let addresses: Vec<String> = self.nodes.iter().map(Broker::address).collect();
        addresses.join(",")
    }

    /// Proxies that nobody else uses.
    pub(crate) fn way(&self) -> Way {
        let way = self.ways.lock().unwrap_or_else(PoisonError::into_inner).pop();
        way.expect("there is a way for each test")
    }

    /// What the brokers tell each other passes here.
    pub(crate) fn among(&self) -> &Gate {
        &self.among.gate
    }

    pub(crate) fn node(&mut self, node: usize) -> &mut Broker {
        &mut self.nodes[node]
    }
}

/// The first way leads from broker to broker.
fn listeners(port: u16, ways: impl Iterator<Item = [u16; 2]>) -> String {
    let host = "127.0.0.1";
    let mut listeners =
        vec![format!("CONTROLLER://{host}:{{controller}}"), format!("PLAINTEXT://{host}:{port}")];
    let mut advertised = vec![format!("PLAINTEXT://{host}:{port}")];
    let mut protocols = vec!["CONTROLLER:PLAINTEXT".to_owned(), "PLAINTEXT:PLAINTEXT".to_owned()];
    for (way, [broker, proxy]) in ways.enumerate() {
        listeners.push(format!("WAY{way}://{host}:{broker}"));
        advertised.push(format!("WAY{way}://{host}:{proxy}"));
        protocols.push(format!("WAY{way}:PLAINTEXT"));
    }
    format!(
        "listeners={}\nadvertised.listeners={}\nlistener.security.protocol.map={}\n\
         inter.broker.listener.name=WAY0\n",
        listeners.join(","),
        advertised.join(","),
        protocols.join(",")
    )
}
