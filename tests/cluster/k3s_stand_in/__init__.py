"""A stand-in for k3s in tests of cluster formation: no Kubernetes, no etcd, no containers.

  k3s server | k3s --version | kubectl get nodes

The stand-in reads the files and settings that k3s reads and refuses what k3s refuses, with k3s's
messages, so that a wrong bootstrap fails here too. Where the stand-in is stricter than k3s, the message
contains "stand-in". Known differences: members agree by CASPaxos (`register`), not by Raft; an unknown
client certificate ends the TLS handshake, where k3s answers 401.

`../make-k3s-stand-in` packs the package into one executable file. Start-up must be quick, because the
stand-in also runs under emulation: modules import little, and `main` imports only what a command needs.

K3S_STAND_IN_ROOT=/folder  read and write files below that folder, and listen on node-ip only
K3S_STAND_IN_SLOW=3        for slow machines: wait three times as long before a peer counts as silent
"""
