"""What every engine does with a declared table alike: frames, partitions, drift, and the SELECT behind `read`."""
