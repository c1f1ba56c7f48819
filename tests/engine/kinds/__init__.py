"""Node kinds for tests, loaded in graphs by `node_paths`: an own folder of kinds, as users have them."""
