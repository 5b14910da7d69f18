"""The files of a run's notebook jobs, taken home: which there are, where each goes, and a download that goes on where it broke off."""
