"""The classic commands. Each one is a module with `main(argv)`, which returns the exit status.

aggr, config and history are the commands `synctool-aggr`, `synctool-config` and `synctool-history`.
"""
