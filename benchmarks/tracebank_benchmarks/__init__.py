"""What measures: stores and readers against bare libraries, and the suites that papers define."""
