"""The deployment of deploy/, on a real control plane of Kubernetes with fake machines: `make test-kube`."""
