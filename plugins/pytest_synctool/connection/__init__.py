"""Run a shell script on a node and get its answer: routes, ssh, shared sockets, processes, rsync and tar."""
