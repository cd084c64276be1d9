"""Running DVC: process care, guards for a full disk, repair, and files of other revisions.

The only package that imports DVC.
"""
