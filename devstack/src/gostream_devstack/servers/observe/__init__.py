"""The servers of `up --observe`: Prometheus and Grafana, which this machine must have."""
