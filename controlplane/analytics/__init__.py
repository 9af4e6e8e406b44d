"""Who pulled what: taken from nodes, stored by time, summed, asked for, exported."""
