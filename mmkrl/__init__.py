"""mmkrl: multi-modal knowledge representation learning.

What is computed lives here (plain torch and arrow, no Ray); where it runs lives in ``cluster``.
"""

__version__ = "0.1.0"
